"""What provision and update have in common before the broker is asked."""

from dataclasses import dataclass
from typing import Any

from apb_controller.rules import identity, names, osb, parameters, references
from apb_controller.rules.drafts import Draft
from apb_controller.rules.instances.world import World, sources
from apb_controller.rules.steps import Blocked, Object, Step


@dataclass(frozen=True)
class Prepared:
    """All that a request needs, and what the status says of it."""

    referred: references.Referred
    parameters: parameters.Parameters
    properties: Object
    identity: str | None
    space: str


def draft(instance: Object, world: World) -> Draft:
    """The status as it is looked at: initialised, and made ready for a spec that has changed. It is written with what comes next."""
    begun = Draft(instance.get("status"), world.now)
    status = begun.status
    status.setdefault("conditions", [])
    begun.set(provisionStatus=status.get("provisionStatus") or "NotProvisioned")
    begun.set(deprovisionStatus=status.get("deprovisionStatus") or "NotRequired")
    begun.set(asyncOpInProgress=False, orphanMitigationInProgress=False)
    generation = instance["metadata"].get("generation", 0)
    if status.get("observedGeneration", 0) < generation:
        begun.set(observedGeneration=generation)
        begun.drop("Failed")
        begun.set(attempts=None, nextAttemptTime=None)
    begun.set(**{name: value for name, value in references.as_written(instance["spec"]).items() if value})
    return begun


def is_done(instance: Object, begun: Draft) -> bool:
    """Whether this generation has come to its end, good or bad."""
    observed = begun.before.get("observedGeneration", 0) >= instance["metadata"].get("generation", 0)
    return observed and not begun.status.get("currentOperation") and (begun.is_true("Ready") or begun.is_true("Failed"))


def is_of_new_spec(begun: Draft) -> bool:
    """Whether the spec has changed since the status was last written, in the middle of an operation."""
    return bool(begun.before.get("currentOperation")) and begun.status.get("observedGeneration") != begun.before.get("observedGeneration")


def adoption(instance: Object, world: World) -> Step | None:
    """The finalizer, the id and the references, in one write; None when all are there. Raises Blocked.

    Finalizer and id come first even when the references cannot be found.
    """
    metadata: Object = {}
    spec: Object = {}
    finalizers = instance["metadata"].get("finalizers") or []
    if names.FINALIZER not in finalizers:
        metadata["finalizers"] = [*finalizers, names.FINALIZER]
    if not instance["spec"].get("externalID"):
        spec["externalID"] = world.new_id
    try:
        spec.update(_references(instance, world))
    except Blocked:
        if not metadata and not spec:
            raise
    wanted = {**instance["spec"], **spec}
    labels = names.labels({f"spec.{ref}.name": (wanted.get(ref) or {}).get("name") for ref in _refs(wanted)})
    if labels.items() - (instance["metadata"].get("labels") or {}).items():
        metadata["labels"] = labels
    return Step(metadata=metadata or None, spec=spec or None) if metadata or spec else None


def prepare(instance: Object, world: World) -> Prepared:
    """Everything for the request. Raises Blocked, with upstream's reasons."""
    spec = instance["spec"]
    referred = references.by_refs(instance, world.classes, world.plans)
    references.require_broker(referred, world.broker)
    try:
        merged = parameters.merged(spec.get("parameters"), sources(spec, world.secrets))
    except parameters.ParametersError as error:
        raise Blocked("ErrorWithParameters", f"Failed to prepare parameters: {error}") from None
    space = osb.namespace_uid(world.namespace, instance["metadata"]["namespace"])
    user = identity.header(spec.get("userInfo"))
    properties: dict[str, Any] = {**referred.plan_properties}
    if merged.values:
        properties |= {"parameters": merged.shown, "parameterChecksum": merged.checksum}
    if spec.get("userInfo"):
        properties["userInfo"] = spec["userInfo"]
    return Prepared(referred, merged, properties, user, space)


def _references(instance: Object, world: World) -> Object:
    if (instance.get("status") or {}).get("currentOperation"):
        return {}  # they stay while something is in progress
    spec = instance["spec"]
    referred = references.by_words(instance, world.classes, world.plans)
    changes = references.spec_changes(spec, referred)
    if world.has_plan_defaults and "defaultProvisionParameters" not in (instance.get("status") or {}):
        merged = parameters.with_defaults(*referred.defaults, spec.get("parameters"))
        if merged != (spec.get("parameters") or {}):
            changes["parameters"] = merged
    return changes


def _refs(spec: Object) -> tuple[str, str]:
    scope = references.scope_of(spec)
    return scope.class_ref, scope.plan_ref
