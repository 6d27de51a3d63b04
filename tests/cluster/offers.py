"""A registered broker of the tests, and instances and bindings of what it offers."""

import contextlib
from collections.abc import Iterator
from typing import Any

from apb_controller.scopes import NAMESPACED, Scope
from tests.brokers import scripted
from tests.cluster.catalog import Catalog, condition

Object = dict[str, Any]
CACHE = {"serviceClassExternalName": "cache", "servicePlanExternalName": "small"}
DATABASE = {"serviceClassExternalName": "database"}  # its bindings may be asynchronous


@contextlib.contextmanager
def registered(space: Catalog, broker: scripted.Broker, scope: Scope = NAMESPACED, name: str = "broker", **spec: Any) -> Iterator[str]:
    """The broker, ready; gone at the end, after the bindings and instances of the namespace."""
    space.create(scope.broker, name, {"url": broker.url, **spec})
    space.wait_reason(scope.broker, name, "FetchedCatalog")
    yield name
    cleared(space)
    space.remove(scope.broker, name)


def cleared(space: Catalog) -> None:
    """Bindings, then instances."""
    for kind in ("ServiceBinding", "ServiceInstance"):
        names = [each["metadata"]["name"] for each in space.list(kind)]
        for name in names:
            space.delete(kind, name)
        for name in names:
            space.wait_gone(kind, name)


def instance(space: Catalog, name: str = "one", words: Object = CACHE, **spec: Any) -> Object:
    """One, as it is made."""
    return space.create("ServiceInstance", name, {**words, **spec})


def binding(space: Catalog, name: str = "one", of: str = "one", **spec: Any) -> Object:
    """One, as it is made."""
    return space.create("ServiceBinding", name, {"instanceRef": {"name": of}, **spec})


def told(found: Object, kind: str = "Ready") -> tuple[str | None, str | None]:
    """(status, reason) of a condition."""
    shown = condition(found, kind)
    return shown.get("status"), shown.get("reason")
