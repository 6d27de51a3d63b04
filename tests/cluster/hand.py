"""A hand that does what a controller would do to objects of the catalog: modules of the collection are tested with it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.rest import ApiException

from tests.plays import Object, until

GROUP, VERSION = "servicecatalog.k8s.io", "v1beta1"
DEFINITIONS = Path(__file__).parents[2] / "deploy" / "crds"
NOT_FOUND, THERE_ALREADY = 404, 409


class Hand:
    """What a controller would do to objects of one namespace, done by a test."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        api = config.new_client_from_config(str(kubeconfig))
        self.namespace = namespace
        self.core, self._objects, self._definitions = client.CoreV1Api(api), client.CustomObjectsApi(api), client.ApiextensionsV1Api(api)

    def define(self) -> None:
        """The kinds, until they are served."""
        for file in DEFINITIONS.iterdir():
            with _allowed(THERE_ALREADY):
                self._definitions.create_custom_resource_definition(yaml.safe_load(file.read_text()))
        for file in DEFINITIONS.iterdir():
            until(lambda name=f"{file.stem}.{GROUP}": self._is_served(name))

    def _is_served(self, name: str) -> bool:
        conditions = self._definitions.read_custom_resource_definition(name).status.conditions or []
        return any(each.type == "Established" and each.status == "True" for each in conditions)

    def create(self, plural: str, body: Object) -> Object:
        """An object; of the namespace, unless it is of a kind of the cluster's."""
        body = {"apiVersion": f"{GROUP}/{VERSION}", **body}
        if plural.startswith("cluster"):
            return self._objects.create_cluster_custom_object(GROUP, VERSION, plural, body)
        return self._objects.create_namespaced_custom_object(GROUP, VERSION, self.namespace, plural, body)

    def get(self, plural: str, name: str) -> Object | None:
        """The object, or None."""
        with _allowed(NOT_FOUND):
            if plural.startswith("cluster"):
                return self._objects.get_cluster_custom_object(GROUP, VERSION, plural, name)
            return self._objects.get_namespaced_custom_object(GROUP, VERSION, self.namespace, plural, name)
        return None

    def patch(self, plural: str, name: str, change: Object) -> None:
        """Of its metadata or spec."""
        self._objects.patch_namespaced_custom_object(GROUP, VERSION, self.namespace, plural, name, change)

    def tell(self, plural: str, name: str, *conditions: tuple[str, str, str, str], **status: Any) -> None:
        """Sets its status: conditions as (type, status, reason, message), for the spec as it is, and other fields."""
        found = until(lambda: self.get(plural, name))
        told = [dict(zip(("type", "status", "reason", "message"), each, strict=True)) for each in conditions]
        body = {"status": {"conditions": told, **status}}
        if not plural.startswith("servicebindings"):
            body["status"]["observedGeneration"] = found["metadata"]["generation"]
        if plural.startswith("cluster"):
            self._objects.patch_cluster_custom_object_status(GROUP, VERSION, plural, name, body)
        else:
            self._objects.patch_namespaced_custom_object_status(GROUP, VERSION, self.namespace, plural, name, body)

    def put_secret(self, name: str, **data: str) -> None:
        """A Secret of these texts."""
        self.core.create_namespaced_secret(self.namespace, {"metadata": {"name": name}, "stringData": data})


@contextlib.contextmanager
def _allowed(status: int) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        if error.status != status:
            raise
