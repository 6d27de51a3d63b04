"""Deprovision: the object is being deleted, or what may have been made is being removed (orphan mitigation)."""

from apb_controller.rules import identity, names, osb, references, waiting
from apb_controller.rules.answers import UNANSWERED, Call, Kind, Outcome
from apb_controller.rules.drafts import Draft
from apb_controller.rules.instances.world import World
from apb_controller.rules.steps import NOTHING, Blocked, Deletion, Object, Request, Step

STARTED = "The instance is being deprovisioned asynchronously"
NOT_ASKED = ("", "NotRequired", "Succeeded")
ASKED = ("Required", "Failed")


def step(instance: Object, world: World) -> Step:
    """What is done next."""
    draft = Draft(instance.get("status"), world.now)
    is_mitigation = not _is_deleting(instance)
    if not is_mitigation and names.FINALIZER not in (instance["metadata"].get("finalizers") or []):
        return NOTHING
    state = draft.status.get("deprovisionStatus") or ""
    if state in NOT_ASKED and not draft.status.get("orphanMitigationInProgress"):
        return Step(metadata=_without_finalizer(instance))
    if state not in ASKED:
        return _invalid(draft, state)
    if not is_mitigation and world.bindings:
        return _wait_for_bindings(draft, world)
    if draft.status.get("currentOperation") != "Deprovision" or (draft.status.get("orphanMitigationInProgress") and not is_mitigation):
        _begin(draft, instance, is_mitigation=is_mitigation)
        return draft.step()
    if pause := draft.pause():
        return Step(wait_seconds=pause)
    try:
        return Step(request=_request(instance, draft, world))
    except Blocked as why:
        return draft.blocked(why, world.limits)


def after(instance: Object, outcome: Outcome, world: World) -> Step:
    """What the broker's answer makes of it."""
    draft = Draft(instance.get("status"), world.now)
    if outcome.kind in (Kind.DONE, Kind.GONE):
        return succeeded(draft, instance, world)
    if outcome.kind is Kind.STARTED:
        draft.start_polling(outcome.operation, world.limits, outcome.retry_after)
        draft.ready("False", "Deprovisioning", STARTED)
        draft.tell("Deprovisioning", STARTED)
    else:
        failed(draft, instance, _message(instance, outcome, world), outcome, world)
    return draft.step()


def succeeded(draft: Draft, instance: Object, world: World) -> Step:
    """Nothing is left at the broker."""
    attempts = draft.status.get("attempts")
    draft.set(deprovisionStatus="Succeeded", provisionStatus="NotProvisioned", externalProperties=None, outcomeUncertain=None)
    draft.set(orphanMitigationInProgress=False, connection=None, dashboardURL=None)
    draft.drop("OrphanMitigation")
    draft.end()
    if _is_deleting(instance):
        return _deleted(draft, instance)
    message = "Orphan mitigation was completed successfully"
    draft.ready("False", "OrphanMitigationSuccessful", message)
    draft.tell("OrphanMitigationSuccessful", message)
    if not draft.is_true("Failed"):
        draft.set(attempts=attempts)
        draft.try_later(world.limits)
        draft.warn("RetryBackoff", f"Delaying provision retry, next attempt will be after {draft.status['nextAttemptTime']}")
    return draft.step()


def failed(draft: Draft, instance: Object, message: str, outcome: Outcome | None, world: World) -> None:
    """It is tried again; without a deletion it was an orphan's."""
    reason = "DeprovisionCallFailed"
    if not _is_deleting(instance):
        reason, message = "OrphanMitigationFailed", f"Orphan mitigation failed: {message}"
    waiting.not_removed(draft, "deprovisionStatus", reason, message, outcome, world.limits)


def _message(instance: Object, outcome: Outcome, world: World) -> str:
    if outcome.kind not in UNANSWERED:
        return f"Deprovision call failed; received error response from broker: {outcome.error}"
    try:
        referred = references.by_refs(instance, world.classes, world.plans)
    except Blocked:
        return f"Error deprovisioning: {outcome.error}"
    return f"Error deprovisioning, {referred.described_class} at {referred.described_broker}: {outcome.error}"


def _is_deleting(instance: Object) -> bool:
    return bool(instance["metadata"].get("deletionTimestamp"))


def _without_finalizer(instance: Object) -> Object:
    return {"finalizers": [one for one in instance["metadata"].get("finalizers") or [] if one != names.FINALIZER]}


def _deleted(draft: Draft, instance: Object) -> Step:
    message = "The instance was deprovisioned successfully"
    draft.ready("False", "DeprovisionedSuccessfully", message)
    draft.tell("DeprovisionedSuccessfully", message)
    return draft.step(metadata=_without_finalizer(instance))


def _invalid(draft: Draft, state: str) -> Step:
    message = f"ServiceInstance has invalid DeprovisionStatus field: {state}"
    draft.ready("Unknown", "InvalidDeprovisionStatus", message)
    draft.condition("Failed", "True", "InvalidDeprovisionStatus", message)
    if draft.is_changed:
        draft.warn("InvalidDeprovisionStatus", message)
    return draft.step()


def _wait_for_bindings(draft: Draft, world: World) -> Step:
    if not world.deletes_bindings:
        message = "All associated ServiceBindings must be removed before this ServiceInstance can be deleted"
        return draft.blocked(Blocked("DeprovisionBlockedByExistingCredentials", message), world.limits)
    waiting = draft.blocked(Blocked("ServiceBindingsDeletion", "The instance's service bindings are being deleted"), world.limits)
    alive = [one["metadata"] for one in world.bindings if not one["metadata"].get("deletionTimestamp")]
    deletions = tuple(Deletion("ServiceBinding", one["name"], one.get("uid")) for one in alive)
    return Step(waiting.status, events=waiting.events, deletions=deletions, wait_seconds=waiting.wait_seconds)


def _begin(draft: Draft, instance: Object, *, is_mitigation: bool) -> None:
    properties = draft.status.get("inProgressProperties") or draft.status.get("externalProperties") or {}
    draft.set(currentOperation=None, nextAttemptTime=None)
    draft.begin("Deprovision", properties)
    if not is_mitigation:
        draft.set(orphanMitigationInProgress=False)
        draft.drop("OrphanMitigation")
        draft.set(attempts=None, observedGeneration=instance["metadata"].get("generation", draft.status.get("observedGeneration")))
        draft.ready("False", "DeprovisionRequestInFlight", "Deprovision request for ServiceInstance in-flight to Broker")


def _request(instance: Object, draft: Draft, world: World) -> Request:
    referred = references.by_refs(instance, world.classes, world.plans)
    references.require_broker(referred, world.broker)
    query = {"service_id": referred.service_id, "plan_id": plan_id(draft, referred)}
    user = identity.header(instance["spec"].get("userInfo"))
    return osb.request(Call.DEPROVISION, osb.instance_path(instance), identity=user, query=query, may_be_async=True)


def plan_id(draft: Draft, referred: references.Referred) -> str:
    """The plan that the broker has, or may have: not the one that the spec names by now."""
    field = f"{referred.scope.plan_field}ExternalID"
    for name in ("externalProperties", "inProgressProperties"):
        if found := (draft.status.get(name) or {}).get(field):
            return str(found)
    return referred.plan_id
