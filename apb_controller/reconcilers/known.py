"""What is known of the cluster: a store for each kind, and the questions that are asked of them."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from apb_controller.kube import resources
from apb_controller.rules import conditions, references
from apb_controller.runtime.store import Store
from apb_controller.scopes import BOTH, Scope

Object = dict[str, Any]
Change = Callable[[str, Object | None, Object | None], None]
SCOPES = {kind: scope for scope in BOTH for kind in (scope.broker, scope.service_class, scope.plan)}


class Known:
    """Stores by kind. `on_change(kind, before, after)` is told of every change."""

    def __init__(self, on_change: Change) -> None:
        self.stores = {kind: _store(kind, on_change) for kind in resources.WATCHED}

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object."""
        return self.stores[kind].get(namespace, name)

    def put(self, thing: Object) -> None:
        """An object as the server has just told it."""
        self.stores[kind_of(thing)].put(thing)

    def gone(self, thing: Object) -> None:
        """An object that the server has just deleted."""
        self.stores[kind_of(thing)].gone(thing)

    def choices(self, instance: Object) -> tuple[list[Object], list[Object]]:
        """Classes and plans that the instance may mean: by its words and by its references."""
        spec, scope = instance["spec"], references.scope_of(instance["spec"])
        place = place_of(instance, scope)
        classes = self._meant(scope.service_class, place, references.words(spec, scope.class_field), spec.get(scope.class_ref))
        plans = [plan for each in classes for plan in self.stores[scope.plan].by("class", (place, each["metadata"]["name"]))]
        ref = (spec.get(scope.plan_ref) or {}).get("name")
        if ref and not any(plan["metadata"]["name"] == ref for plan in plans):
            plans += filter(None, [self.get(scope.plan, place, ref)])
        return classes, plans

    def _meant(self, kind: str, place: str, words: tuple[str, str] | None, ref: Object | None) -> list[Object]:
        found: dict[str, Object] = {}
        names = [(ref or {}).get("name"), words[1] if words and words[0] == "Name" else None]
        things: list[Object | None] = [self.get(kind, place, name) for name in names if name]
        if words and words[0] != "Name":
            things += self.stores[kind].by(words[0], (place, words[1]))
        for thing in things:
            if thing is not None:
                found[thing["metadata"]["name"]] = thing
        return list(found.values())

    def broker_of(self, instance: Object) -> Object | None:
        """The broker of the instance's class; None while the class is not resolved, or when either is not there."""
        scope = references.scope_of(instance["spec"])
        place = place_of(instance, scope)
        service_class = self.get(scope.service_class, place, (instance["spec"].get(scope.class_ref) or {}).get("name") or "")
        return self.get(scope.broker, place, service_class["spec"].get(scope.broker_field) or "") if service_class else None

    def bindings_of(self, instance: Object) -> list[Object]:
        """Those that refer to it."""
        metadata = instance["metadata"]
        return self.stores["ServiceBinding"].by("instance", (metadata["namespace"], metadata["name"]))

    def of_scope(self, kind: str, broker: Object) -> dict[str, Object]:
        """All classes or plans of the cluster, or of the broker's namespace, by their names."""
        store = self.stores[kind]
        things: Iterable[Object] = store if SCOPES[kind].is_cluster else store.by("namespace", broker["metadata"]["namespace"])
        return {thing["metadata"]["name"]: thing for thing in things}

    def instances_of_broker(self, broker: Object, scope: Scope) -> Iterator[Object]:
        """Those that refer to its classes."""
        place = place_of(broker, scope)
        for service_class in self.stores[scope.service_class].by("broker", (place, broker["metadata"]["name"])):
            yield from self.instances_of("class", scope.service_class, place, service_class["metadata"]["name"])

    def instances_of(self, index: str, kind: str, place: str, name: str) -> list[Object]:
        """Those that refer to a class or plan (`index`: which of both)."""
        return self.stores["ServiceInstance"].by(index, (kind, place, name))

    def is_referred_to(self, thing: Object) -> bool:
        """Whether an instance refers to the class or plan."""
        kind, metadata = thing["kind"], thing["metadata"]
        index = "class" if kind == SCOPES[kind].service_class else "plan"
        return self.stores["ServiceInstance"].has(index, (kind, metadata.get("namespace") or "", metadata["name"]))


def kind_of(thing: Object) -> str:
    """Its kind; of those whose metadata alone is known there are two, and one of them has no namespace."""
    kind = str(thing["kind"])
    if kind != "PartialObjectMetadata":
        return kind
    return "Secret" if thing["metadata"].get("namespace") else "Namespace"


def place_of(thing: Object, scope: Scope) -> str:
    """Where classes, plans and brokers of a scope are, as the object sees it: its namespace, or nowhere in particular."""
    return "" if scope.is_cluster else thing["metadata"]["namespace"]


def login_secret(broker: Object) -> tuple[str, str] | None:
    """Namespace and name of the Secret of the broker's login."""
    auth = broker["spec"].get("authInfo") or {}
    ref = (auth.get("basic") or auth.get("bearer") or {}).get("secretRef")
    return (broker["metadata"].get("namespace") or ref.get("namespace") or "", ref["name"]) if ref else None


def _store(kind: str, on_change: Change) -> Store:
    return Store(_INDEXES.get(kind), lambda before, after: on_change(kind, before, after))


def _of_class(thing: Object) -> Iterator[Hashable]:
    yield _space(thing), _class_ref(thing)


def _class_ref(plan: Object) -> str:
    return str((plan["spec"].get(SCOPES[plan["kind"]].class_ref) or {}).get("name"))


def _space(thing: Object) -> str:
    return thing["metadata"].get("namespace") or ""


def _of_broker(thing: Object) -> Iterator[Hashable]:
    yield _space(thing), thing["spec"].get(SCOPES[thing["kind"]].broker_field)


def _field(name: str) -> Callable[[Object], Iterator[Hashable]]:
    def values(thing: Object) -> Iterator[Hashable]:
        yield _space(thing), thing["spec"].get(name)

    return values


def _namespace(thing: Object) -> Iterator[Hashable]:
    yield _space(thing)


def _refs(classes: bool) -> Callable[[Object], Iterator[Hashable]]:
    def values(instance: Object) -> Iterator[Hashable]:
        for scope in BOTH:
            kind, field = (scope.service_class, scope.class_ref) if classes else (scope.plan, scope.plan_ref)
            if name := (instance["spec"].get(field) or {}).get("name"):
                yield kind, place_of(instance, scope), name

    return values


def _unresolved(instance: Object) -> Iterator[Hashable]:
    """Instances that wait for a class, a plan or a broker."""
    scope = references.scope_of(instance["spec"])
    ready = conditions.found((instance.get("status") or {}).get("conditions"), "Ready") or {}
    if not instance["spec"].get(scope.plan_ref) or str(ready.get("reason")).startswith("References"):
        yield place_of(instance, scope)


def _sources(thing: Object) -> Iterator[Hashable]:
    """Secrets that an instance or binding reads or writes."""
    spec, space = thing["spec"], thing["metadata"]["namespace"]
    names = [(source.get("secretKeyRef") or {}).get("name") for source in spec.get("parametersFrom") or []]
    names += [((each.get("addKeysFrom") or {}).get("secretRef") or {}).get("name") for each in spec.get("secretTransforms") or []]
    if thing["kind"] == "ServiceBinding":
        names.append(spec.get("secretName") or thing["metadata"]["name"])
    yield from {(space, name) for name in names if name}


def _login(broker: Object) -> Iterator[Hashable]:
    if found := login_secret(broker):
        yield found


def _instance(binding: Object) -> Iterator[Hashable]:
    yield binding["metadata"]["namespace"], (binding["spec"].get("instanceRef") or {}).get("name")


_CLASS_INDEXES = {
    "broker": _of_broker,
    "namespace": _namespace,
    "ExternalName": _field("externalName"),
    "ExternalID": _field("externalID"),
}
_INDEXES: dict[str, dict[str, Callable[[Object], Iterable[Hashable]]]] = {
    "ServiceInstance": {"class": _refs(True), "plan": _refs(False), "unresolved": _unresolved, "secret": _sources},
    "ServiceBinding": {"instance": _instance, "secret": _sources},
    **{scope.service_class: dict(_CLASS_INDEXES) for scope in BOTH},
    **{scope.plan: {"broker": _of_broker, "namespace": _namespace, "class": _of_class} for scope in BOTH},
    **{scope.broker: {"secret": _login} for scope in BOTH},
}
