"""The catalog's objects in a cluster, for tests: made, waited for, and taken away again."""

import base64
import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.rest import ApiException

from apb_controller import kinds
from apb_controller.kinds import GROUP, VERSION
from tests.e2e.machine import wait

Object = dict[str, Any]
DEFINITIONS = Path(__file__).parents[2] / "deploy" / "crds"
PLURALS = {each["spec"]["names"]["kind"]: (plural, each["spec"]["scope"]) for plural, each in kinds.definitions().items()}
SECONDS = 60
GONE, THERE = 404, 409


class Catalog:
    """Of one cluster, seen from one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str = "default") -> None:
        api = config.new_client_from_config(str(kubeconfig))
        self.objects, self.core = client.CustomObjectsApi(api), client.CoreV1Api(api)
        self._definitions = client.ApiextensionsV1Api(api)
        self.namespace = namespace

    def of(self, namespace: str) -> "Catalog":
        """The same, seen from another namespace."""
        made = copy.copy(self)
        made.namespace = namespace
        return made

    def define(self) -> None:
        """The kinds, until they are served; or as they are there already."""
        for file in sorted(DEFINITIONS.iterdir()):
            with allowed(THERE):
                self._definitions.create_custom_resource_definition(yaml.safe_load(file.read_text()))
        for plural, _ in PLURALS.values():
            wait(lambda plural=plural: self._is_served(f"{plural}.{GROUP}"), SECONDS, f"the kind {plural}")

    def _is_served(self, name: str) -> bool:
        found = self._definitions.read_custom_resource_definition(name).status.conditions or []
        return any(each.type == "Established" and each.status == "True" for each in found)

    def create(self, kind: str, name: str, spec: Object) -> Object:
        """As `kubectl create`."""
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}, "spec": spec}
        return self._call(kind, "create", body)

    def patch(self, kind: str, name: str, spec: Object) -> Object:
        """As `kubectl patch --type=merge`."""
        plural, scope = PLURALS[kind]
        form = {"_content_type": "application/merge-patch+json"}
        if scope == "Cluster":
            return self.objects.patch_cluster_custom_object(GROUP, VERSION, plural, name, {"spec": spec}, **form)
        return self.objects.patch_namespaced_custom_object(GROUP, VERSION, self.namespace, plural, name, {"spec": spec}, **form)

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None."""
        with allowed(GONE):
            return self._call(kind, "get", name)
        return None

    def list(self, kind: str) -> list[Object]:
        """All of the cluster, or of the namespace."""
        return self._call(kind, "list")["items"]

    def delete(self, kind: str, name: str) -> None:
        """As `kubectl delete --wait=false`; also what has gone."""
        with allowed(GONE):
            self._call(kind, "delete", name)

    def remove(self, kind: str, name: str) -> None:
        """As `kubectl delete`."""
        self.delete(kind, name)
        self.wait_gone(kind, name)

    def wait_gone(self, kind: str, name: str) -> None:
        """Until it is not there any more."""
        wait(lambda: self.get(kind, name) is None, SECONDS, f"the end of {kind} {name}: {self.told(kind, name)}")

    def wait_ready(self, kind: str, name: str) -> Object:
        """Until it is; the object."""
        return self.wait_for(kind, name, lambda found: condition(found).get("status") == "True")

    def wait_reason(self, kind: str, name: str, reason: str) -> Object:
        """Until its condition Ready has that reason; the condition."""
        return condition(self.wait_for(kind, name, lambda found: condition(found).get("reason") == reason))

    def wait_for(self, kind: str, name: str, holds: Callable[[Object], object]) -> Object:
        """Until that holds of it; the object."""
        seen: list[Object] = []

        def look() -> Object | None:
            found = self.get(kind, name)
            seen[:] = [found] if found else []
            return found if found and holds(found) else None

        try:
            return wait(look, SECONDS)
        except AssertionError:
            raise AssertionError(f"{kind} {name} did not become so within {SECONDS} s: {seen and seen[0].get('status')}") from None

    def told(self, kind: str, name: str) -> object:
        """What its conditions say."""
        found = self.get(kind, name)
        return found and found.get("status", {}).get("conditions")

    def put_secret(self, name: str, **data: str) -> None:
        """A Secret of these texts."""
        self.core.create_namespaced_secret(self.namespace, {"metadata": {"name": name}, "stringData": data})

    def secret(self, name: str) -> client.V1Secret | None:
        """The Secret, or None."""
        with allowed(GONE):
            return self.core.read_namespaced_secret(name, self.namespace)
        return None

    def credentials(self, name: str) -> dict[str, str]:
        """What is in a Secret that must be there."""
        found = self.secret(name)
        assert found is not None, f"there is no Secret {name}"
        return {key: base64.b64decode(value).decode() for key, value in (found.data or {}).items()}

    def is_namespace_there(self) -> bool:
        """Whether it is, or is not gone yet."""
        with allowed(GONE):
            return bool(self.core.read_namespace(self.namespace))
        return False

    def wait_events(self, name: str, *wanted: tuple[str, str]) -> None:
        """Waits until (type, reason) of each was told of an object of the namespace: events follow what they tell of."""
        wait(lambda: set(wanted) <= self._events(name), SECONDS, f"the events {wanted} of {name}")

    def _events(self, name: str) -> set[tuple[str, str]]:
        found = self.core.list_namespaced_event(self.namespace, field_selector=f"involvedObject.name={name}").items
        return {(each.type, each.reason) for each in found}

    def _call(self, kind: str, verb: str, *what: Any) -> Any:
        plural, scope = PLURALS[kind]
        if scope == "Cluster":
            return getattr(self.objects, f"{verb}_cluster_custom_object")(GROUP, VERSION, plural, *what)
        return getattr(self.objects, f"{verb}_namespaced_custom_object")(GROUP, VERSION, self.namespace, plural, *what)


def condition(found: Object, kind: str = "Ready") -> Object:
    """Of an object; empty if it has none of that kind."""
    told = (found.get("status") or {}).get("conditions") or []
    return next((each for each in told if each["type"] == kind), {})


@contextlib.contextmanager
def allowed(status: int) -> Iterator[None]:
    """This refusal is none."""
    try:
        yield
    except ApiException as error:
        if error.status != status:
            raise
