"""Which objects have to be looked at when one has changed: itself, and those whose next step may depend on it."""

from collections.abc import Iterable, Iterator
from typing import Any

from apb_controller.kube import resources
from apb_controller.reconcilers.known import SCOPES, Known, place_of
from apb_controller.rules import references
from apb_controller.runtime.queue import Key

Object = dict[str, Any]


def all_keys(known: Known) -> Iterator[Key]:
    """Everything: once, at the start."""
    for kind in resources.CATALOG:
        yield from (key_of(kind, thing) for thing in known.stores[kind])


def keys(known: Known, kind: str, before: Object | None, after: Object | None) -> Iterable[Key]:
    """What to look at after this change."""
    thing = after or before
    if thing is None:
        return
    if kind in resources.CATALOG and (after is not None or kind == "ServiceInstance"):
        yield key_of(kind, thing)
    if kind == "ServiceInstance":
        yield from _of_instance(known, before, thing, is_gone=after is None)
    elif kind == "ServiceBinding":
        yield from _of_binding(known, thing, is_gone=after is None)
    elif kind == "Secret":
        yield from _of_secret(known, thing)
    elif kind in SCOPES:
        yield from _of_catalog(known, kind, before, after, thing)


def key_of(kind: str, thing: Object) -> Key:
    """The object's key."""
    return Key(kind, thing["metadata"].get("namespace") or "", thing["metadata"]["name"])


def _of_instance(known: Known, before: Object | None, thing: Object, *, is_gone: bool) -> Iterator[Key]:
    yield from (key_of("ServiceBinding", binding) for binding in known.bindings_of(thing))
    for old in filter(None, [before]):
        scope = references.scope_of(old["spec"])
        for kind, field in ((scope.service_class, scope.class_ref), (scope.plan, scope.plan_ref)):
            if (ref := old["spec"].get(field)) and (is_gone or thing["spec"].get(field) != ref):
                yield Key(kind, place_of(old, scope), ref["name"])  # it may have left its catalog, and go now
        if is_gone and (broker := known.broker_of(old)) and broker["metadata"].get("deletionTimestamp"):
            yield key_of(scope.broker, broker)


def _of_binding(known: Known, thing: Object, *, is_gone: bool) -> Iterator[Key]:
    instance = known.get("ServiceInstance", thing["metadata"]["namespace"], (thing["spec"].get("instanceRef") or {}).get("name") or "")
    if is_gone and instance and instance["metadata"].get("deletionTimestamp"):
        yield key_of("ServiceInstance", instance)


def _of_secret(known: Known, thing: Object) -> Iterator[Key]:
    name = (thing["metadata"]["namespace"], thing["metadata"]["name"])
    for kind, store in known.stores.items():
        if kind in ("ServiceInstance", "ServiceBinding") or (kind in SCOPES and kind == SCOPES[kind].broker):
            yield from (key_of(kind, user) for user in store.by("secret", name))


def _of_catalog(known: Known, kind: str, before: Object | None, after: Object | None, thing: Object) -> Iterator[Key]:
    """Instances that wait for such a thing, and those that refer to it."""
    scope = SCOPES[kind]
    place, name = place_of(thing, scope), thing["metadata"]["name"]
    if kind == scope.broker:
        if before is None or after is None or before["spec"] != after["spec"]:
            yield from (key_of("ServiceInstance", instance) for instance in known.instances_of_broker(thing, scope))
    else:
        index = "class" if kind == scope.service_class else "plan"
        yield from (key_of("ServiceInstance", instance) for instance in known.instances_of(index, kind, place, name))
        if after is None and (broker := known.get(scope.broker, place, thing["spec"].get(scope.broker_field) or "")):
            yield key_of(scope.broker, broker)
    yield from (key_of("ServiceInstance", instance) for instance in known.stores["ServiceInstance"].by("unresolved", place))
