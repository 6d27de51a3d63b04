"""A hand that does what a controller would do to objects of the catalog: modules of the collection are tested with it."""

from pathlib import Path
from typing import Any

from apb_controller.kinds import GROUP, VERSION
from tests.cluster.catalog import PLURALS, Catalog
from tests.plays import Object, until

Condition = tuple[str, str, str, str]


class Hand(Catalog):
    """The controller of one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        super().__init__(kubeconfig, namespace)
        self._made: list[tuple[str, str]] = []
        self.core.create_namespace({"metadata": {"name": namespace}})

    def make(self, kind: str, name: str, spec: Object, **metadata: Any) -> Object:
        """An object with that metadata."""
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        self._made.append((kind, name))
        return self._call(kind, "create", body)

    def leave(self) -> None:
        """Takes the namespace away, and what it has made of the cluster's."""
        for kind, name in self._made:
            if PLURALS[kind][1] == "Cluster":
                self.delete(kind, name)
        self.core.delete_namespace(self.namespace)

    def release(self, kind: str, name: str) -> None:
        """Lets an object go that has a finalizer."""
        self._patched(kind, "", name, {"metadata": {"finalizers": None}})

    def tell(self, kind: str, name: str, *conditions: Condition, **status: Any) -> None:
        """Sets the status of an object, as soon as it is there, for its spec as it is: conditions, and other fields."""
        found = until(lambda: self.get(kind, name))
        told = [dict(zip(("type", "status", "reason", "message"), each, strict=True)) for each in conditions]
        seen = {} if kind == "ServiceBinding" else {"observedGeneration": found["metadata"]["generation"]}
        self._patched(kind, "_status", name, {"status": {"conditions": told, **seen, **status}})

    def _patched(self, kind: str, part: str, name: str, change: Object) -> None:
        plural, scope = PLURALS[kind]
        if scope == "Cluster":
            getattr(self.objects, f"patch_cluster_custom_object{part}")(GROUP, VERSION, plural, name, change)
        else:
            getattr(self.objects, f"patch_namespaced_custom_object{part}")(GROUP, VERSION, self.namespace, plural, name, change)
