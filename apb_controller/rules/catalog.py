"""What a broker's catalog says: its body becomes the class and plan objects that are wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apb_controller.rules import names, restrictions
from apb_controller.scopes import Scope

API_VERSION = "servicecatalog.k8s.io/v1beta1"
Object = dict[str, Any]
_SCHEMAS = {
    "instanceCreateParameterSchema": ("service_instance", "create"),
    "instanceUpdateParameterSchema": ("service_instance", "update"),
    "serviceBindingCreateParameterSchema": ("service_binding", "create"),
}


class CatalogError(ValueError):
    """The broker's answer is no catalog. The message names the place in it."""


@dataclass(frozen=True)
class Wanted:
    """Objects that the catalog asks for, by their Kubernetes names."""

    classes: dict[str, Object] = field(default_factory=dict)
    plans: dict[str, Object] = field(default_factory=dict)


def wanted(body: Any, broker: Object, scope: Scope) -> Wanted:
    """The objects of a catalog after the broker's `catalogRestrictions`. Raises CatalogError and restrictions.RestrictionError.

    A class whose plans are all restricted away is not wanted either.
    """
    limits = broker["spec"].get("catalogRestrictions") or {}
    for_classes = restrictions.read(limits.get("serviceClass") or [], restrictions.class_properties())
    for_plans = restrictions.read(limits.get("servicePlan") or [], restrictions.plan_properties(scope))
    found = Wanted()
    for position, service in enumerate(_entries(body, "services", "catalog")):
        place = f"services[{position}]"
        made = _class(service, place, broker, scope)
        plans = [_plan(plan, f"{place}.plans[{number}]", made, broker, scope) for number, plan in _plans(service, place, made)]
        kept = [plan for plan in plans if restrictions.are_met(for_plans, plan_words(plan, scope))]
        if kept and restrictions.are_met(for_classes, class_words(made)):
            _add(found.classes, made, place)
            for plan in kept:
                _add(found.plans, plan, place)
    return found


def class_words(made: Object) -> dict[str, str]:
    """The properties that restrictions of classes speak of."""
    return {
        "name": made["metadata"]["name"],
        "spec.externalName": made["spec"]["externalName"],
        "spec.externalID": made["spec"]["externalID"],
    }


def plan_words(plan: Object, scope: Scope) -> dict[str, str]:
    """The properties that restrictions of plans speak of."""
    return {
        **class_words(plan),
        "spec.free": "true" if plan["spec"]["free"] else "false",
        f"spec.{scope.class_field}.name": plan["spec"][scope.class_ref]["name"],
    }


def described(kind: str, made: Object) -> str:
    """How messages call a class or plan."""
    return f'{kind} (K8S: "{made["metadata"]["name"]}" ExternalName: "{made["spec"].get("externalName")}")'


def owner(broker: Object, scope: Scope) -> Object:
    """The ownerReference that tells a catalog's objects from those that people made."""
    return {
        "apiVersion": API_VERSION,
        "kind": scope.broker,
        "name": broker["metadata"]["name"],
        "uid": broker["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _plans(service: Mapping[str, Any], place: str, made: Object) -> list[tuple[int, Mapping[str, Any]]]:
    plans = _entries(service, "plans", place)
    if not plans:
        raise CatalogError(f"{described(made['kind'], made)} must have at least one plan")
    return list(enumerate(plans))


def _class(service: Mapping[str, Any], place: str, broker: Object, scope: Scope) -> Object:
    return _object(
        scope.service_class,
        broker,
        scope,
        _named(service, place),
        {
            "bindable": service.get("bindable") is True,
            "bindingRetrievable": service.get("bindings_retrievable") is True,
            "planUpdatable": service.get("plan_updateable") is True,
            "externalMetadata": _mapping(service.get("metadata")),
            "tags": _texts(service.get("tags")),
            "requires": _texts(service.get("requires")),
        },
    )


def _plan(plan: Mapping[str, Any], place: str, of: Object, broker: Object, scope: Scope) -> Object:
    duration = plan.get("maximum_polling_duration")
    return _object(
        scope.plan,
        broker,
        scope,
        _named(plan, place),
        {
            scope.class_ref: {"name": of["metadata"]["name"]},
            "free": plan.get("free") is not False,
            "bindable": _flag(plan.get("bindable")),
            "planUpdatable": _flag(plan.get("plan_updateable")),
            "externalMetadata": _mapping(plan.get("metadata")),
            "maximumPollingDuration": duration if type(duration) is int and duration > 0 else None,
            "maintenanceInfo": _mapping(plan.get("maintenance_info")),
            **{name: _parameters(plan.get("schemas"), *path) for name, path in _SCHEMAS.items()},
        },
    )


def _object(kind: str, broker: Object, scope: Scope, named: Object, more: Object) -> Object:
    spec = {scope.broker_field: broker["metadata"]["name"], **named, **{name: value for name, value in more.items() if value is not None}}
    ref = {f"spec.{scope.class_ref}.name": spec[scope.class_ref]["name"]} if scope.class_ref in spec else {}
    searched = {f"spec.{name}": spec[name] for name in ("externalID", "externalName", scope.broker_field)}
    metadata = {
        "name": names.escaped(named["externalID"]),
        "labels": names.labels({**searched, **ref}),
        "ownerReferences": [owner(broker, scope)],
    }
    if not scope.is_cluster:
        metadata["namespace"] = broker["metadata"]["namespace"]
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _named(entry: Mapping[str, Any], place: str) -> Object:
    texts = {}
    for field_name, key in (("externalName", "name"), ("externalID", "id"), ("description", "description")):
        value = entry.get(key)
        if not isinstance(value, str) or not value:
            raise CatalogError(f"{place}.{key} must be a text that is not empty")
        texts[field_name] = value
    return texts


def _entries(of: Any, key: str, place: str) -> list[Mapping[str, Any]]:
    entries = of.get(key) if isinstance(of, Mapping) else None
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise CatalogError(f"{place}: {key} must be a list of objects")
    return entries


def _add(objects: dict[str, Object], made: Object, place: str) -> None:
    name = made["metadata"]["name"]
    if name in objects:
        raise CatalogError(f'{place}: the catalog has the id "{made["spec"]["externalID"]}" twice')
    objects[name] = made


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _mapping(value: Any) -> Object | None:
    return dict(value) if isinstance(value, Mapping) and value else None


def _texts(value: Any) -> list[str] | None:
    texts = [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
    return texts or None


def _parameters(schemas: Any, *path: str) -> Object | None:
    for key in (*path, "parameters"):
        schemas = schemas.get(key) if isinstance(schemas, Mapping) else None
    return _mapping(schemas)
