"""What an instance refers to: the class and plan that its words mean, and their broker."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apb_controller.rules import catalog
from apb_controller.rules.steps import Blocked, Object
from apb_controller.scopes import CLUSTER, NAMESPACED, Scope

SPELLINGS = {"ExternalName": ("spec", "externalName"), "ExternalID": ("spec", "externalID"), "Name": ("metadata", "name")}


@dataclass(frozen=True)
class Referred:
    """What an instance means."""

    scope: Scope
    service_class: Object
    plan: Object

    @property
    def service_id(self) -> str:
        """The class's id at the broker."""
        return str(self.service_class["spec"]["externalID"])

    @property
    def plan_id(self) -> str:
        """The plan's id at the broker."""
        return str(self.plan["spec"]["externalID"])

    @property
    def defaults(self) -> tuple[Object | None, Object | None]:
        """Default parameters of the class and of the plan."""
        of_class, of_plan = (one["spec"].get("defaultProvisionParameters") for one in (self.service_class, self.plan))
        return of_class, of_plan

    @property
    def described_class(self) -> str:
        """How messages call the class."""
        return catalog.described(self.scope.service_class, self.service_class)

    @property
    def described_plan(self) -> str:
        """How messages call the plan."""
        return catalog.described(self.scope.plan, self.plan)

    @property
    def described_broker(self) -> str:
        """How messages call the broker."""
        return f'{self.scope.broker} "{self.service_class["spec"].get(self.scope.broker_field)}"'

    @property
    def plan_properties(self) -> Object:
        """The plan, as `inProgressProperties` name it."""
        field = self.scope.plan_field
        return {f"{field}ExternalName": self.plan["spec"]["externalName"], f"{field}ExternalID": self.plan_id}


def scope_of(spec: Mapping[str, Any]) -> Scope:
    """Whose catalog the instance's words mean."""
    words = (NAMESPACED.class_field + spelling for spelling in SPELLINGS)
    return NAMESPACED if any(spec.get(word) for word in words) or spec.get(NAMESPACED.class_ref) else CLUSTER


def words(spec: Mapping[str, Any], field: str) -> tuple[str, str] | None:
    """Spelling and value of what the user wrote for a class or plan (`field`: its prefix)."""
    return next(((spelling, spec[field + spelling]) for spelling in SPELLINGS if spec.get(field + spelling)), None)


def as_written(spec: Mapping[str, Any]) -> dict[str, str]:
    """`userSpecifiedClassName` and `userSpecifiedPlanName`."""
    scope = scope_of(spec)
    of_class, of_plan = words(spec, scope.class_field), words(spec, scope.plan_field)
    named = {"userSpecifiedClassName": f"{scope.service_class}/{of_class[1]}" if of_class else ""}
    return {**named, "userSpecifiedPlanName": of_plan[1] if of_plan else ""}


def by_words(instance: Object, classes: Iterable[Object], plans: Iterable[Object]) -> Referred:
    """What the words mean now: exactly one class, and exactly one of its plans, which may be unnamed if it has no other.

    What was meant before goes on being meant when the catalog has renamed it and the words are still the same. Raises Blocked.
    """
    spec = instance["spec"]
    scope = scope_of(spec)
    are_old = {name: (instance.get("status") or {}).get(name) == value for name, value in as_written(spec).items()}
    class_words = words(spec, scope.class_field)
    found = _matching(classes, class_words)
    if len(found) != 1 and are_old["userSpecifiedClassName"]:
        found = _named(classes, spec.get(scope.class_ref)) or found
    if len(found) != 1:
        raise Blocked("ReferencesNonexistentServiceClass", _missing(scope.service_class, scope.class_field, class_words, "", len(found)))
    [service_class] = found
    of_class = [plan for plan in plans if plan["spec"][scope.class_ref]["name"] == service_class["metadata"]["name"]]
    plan = _plan(spec, scope, service_class, of_class, is_old=are_old["userSpecifiedPlanName"])
    return Referred(scope, service_class, plan)


def by_refs(instance: Object, classes: Iterable[Object], plans: Iterable[Object]) -> Referred:
    """What was found before. Raises Blocked."""
    spec = instance["spec"]
    scope = scope_of(spec)
    for noun, kind, field, objects in (
        ("Class", scope.service_class, scope.class_ref, classes),
        ("Plan", scope.plan, scope.plan_ref, plans),
    ):
        if not _named(objects, spec.get(field)):
            name = (spec.get(field) or {}).get("name", "")
            raise Blocked(f"ReferencesNonexistentService{noun}", f'References a non-existent {kind} (K8S: "{name}")')
    return Referred(scope, _named(classes, spec[scope.class_ref])[0], _named(plans, spec[scope.plan_ref])[0])


def require_broker(referred: Referred, broker: Object | None) -> None:
    """Raises Blocked when there is no broker to ask."""
    if broker is None:
        raise Blocked("ReferencesNonexistentBroker", f"The instance references a non-existent broker: {referred.described_broker}")


def spec_changes(spec: Mapping[str, Any], referred: Referred) -> Object:
    """What the controller writes into the spec: the references, and the plan that nobody named."""
    scope = referred.scope
    changes: Object = {}
    for field, found in ((scope.class_ref, referred.service_class), (scope.plan_ref, referred.plan)):
        if (spec.get(field) or {}).get("name") != found["metadata"]["name"]:
            changes[field] = {"name": found["metadata"]["name"]}
    of_class = words(spec, scope.class_field)
    if of_class and not words(spec, scope.plan_field):
        part, key = SPELLINGS[of_class[0]]
        changes[scope.plan_field + of_class[0]] = referred.plan[part][key]
    return changes


def _plan(spec: Mapping[str, Any], scope: Scope, service_class: Object, plans: list[Object], *, is_old: bool) -> Object:
    plan_words = words(spec, scope.plan_field)
    if plan_words is None:
        return _default(scope, service_class, plans)
    found = _matching(plans, plan_words)
    if len(found) != 1 and is_old:
        found = _named(plans, spec.get(scope.plan_ref)) or found
    if len(found) != 1:
        place = f" on {catalog.described(scope.service_class, service_class)}"
        raise Blocked("ReferencesNonexistentServicePlan", _missing(scope.plan, scope.plan_field, plan_words, place, len(found)))
    return found[0]


def _default(scope: Scope, service_class: Object, plans: list[Object]) -> Object:
    plans = [plan for plan in plans if not (plan.get("status") or {}).get("removedFromBrokerCatalog")]
    if not plans:
        name = service_class["spec"]["externalName"]
        raise Blocked("ReferencesNonexistentServicePlan", f'no {scope.plan}s found at all for {scope.service_class} "{name}"')
    if len(plans) > 1:
        described = (
            f"{scope.service_class} (K8S: {service_class['metadata']['name']} ExternalName: {service_class['spec']['externalName']})"
        )
        raise Blocked("ReferencesNonexistentServicePlan", f"{described} has more than one plan, PlanName must be specified")
    return plans[0]


def _matching(objects: Iterable[Object], spelled: tuple[str, str] | None) -> list[Object]:
    if spelled is None:
        return []
    part, key = SPELLINGS[spelled[0]]
    return [one for one in objects if one[part].get(key) == spelled[1]]


def _named(objects: Iterable[Object], ref: Mapping[str, Any] | None) -> list[Object]:
    return [one for one in objects if ref and one["metadata"]["name"] == ref.get("name")]


def _missing(kind: str, field: str, spelled: tuple[str, str] | None, place: str, found: int) -> str:
    shown = f'{{{field[0].upper()}{field[1:]}{spelled[0]}:"{spelled[1]}"}}' if spelled else "{}"
    return f"References a non-existent {kind} {shown}{place} or there is more than one (found: {found})"
