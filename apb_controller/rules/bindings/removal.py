"""Unbind: the object is being deleted, or what may have been made is being removed (orphan mitigation)."""

from apb_controller.rules import conditions, identity, names, osb, waiting
from apb_controller.rules.answers import Call, Kind, Outcome
from apb_controller.rules.bindings import bind
from apb_controller.rules.bindings import world as surroundings
from apb_controller.rules.bindings.world import World
from apb_controller.rules.drafts import Draft
from apb_controller.rules.steps import NOTHING, Blocked, Deletion, Object, Request, Step

STARTED = "The binding is being deleted asynchronously"
NOT_ASKED = ("", "NotRequired", "Succeeded")


def step(binding: Object, world: World) -> Step:
    """What is done next: first nobody can read the credentials any more, then they are made invalid."""
    draft = Draft(binding.get("status"), world.now)
    is_deleting = _is_deleting(binding)
    if is_deleting and names.FINALIZER not in (binding["metadata"].get("finalizers") or []):
        return NOTHING
    if _is_being_tried(draft) and (pause := draft.pause()):
        return Step(wait_seconds=pause)
    if world.secret is not None and surroundings.is_owned(world.secret, binding):
        metadata = world.secret["metadata"]
        return Step(deletions=(Deletion("Secret", metadata["name"], metadata.get("uid")),))
    if (draft.status.get("unbindStatus") or "") in NOT_ASKED and not draft.status.get("orphanMitigationInProgress"):
        return Step(metadata=_without_finalizer(binding))
    if world.instance is None:
        return _released(draft, binding)
    if draft.status.get("currentOperation") != "Unbind":
        _begin(draft, is_deleting=is_deleting)
        return draft.step()
    try:
        return Step(request=_request(binding, world.instance, world))
    except Blocked as why:
        return draft.blocked(why, world.limits)


def after(binding: Object, outcome: Outcome, world: World) -> Step:
    """What the broker's answer makes of it."""
    draft = Draft(binding.get("status"), world.now)
    if outcome.kind in (Kind.DONE, Kind.GONE):
        return succeeded(draft, binding, world)
    if outcome.kind is Kind.STARTED:
        draft.start_polling(outcome.operation, world.limits, outcome.retry_after)
        draft.ready("False", "Unbinding", STARTED)
        draft.tell("Unbinding", STARTED)
    else:
        failed(draft, binding, f"Error unbinding from {surroundings.described(binding, world)}: {outcome.error}", outcome, world)
    return draft.step()


def succeeded(draft: Draft, binding: Object, world: World) -> Step:
    """Nothing is left at the broker."""
    attempts = draft.status.get("attempts")
    draft.set(unbindStatus="Succeeded", externalProperties=None, binding=None, orphanMitigationInProgress=False, outcomeUncertain=None)
    draft.end()
    if _is_deleting(binding):
        message = "The binding was deleted successfully"
        draft.ready("False", "UnboundSuccessfully", message)
        draft.tell("UnboundSuccessfully", message)
        return draft.step(metadata=_without_finalizer(binding))
    message = "Orphan mitigation successful"
    draft.ready("False", "OrphanMitigationSuccessful", message)
    draft.tell("OrphanMitigationSuccessful", message)
    if not draft.is_true("Failed"):
        draft.set(attempts=attempts)
        draft.try_later(world.limits)
    return draft.step()


def failed(draft: Draft, binding: Object, message: str, outcome: Outcome | None, world: World) -> None:
    """It is tried again; without a deletion it was an orphan's."""
    reason = "UnbindCallFailed"
    if not _is_deleting(binding):
        reason, message = "OrphanMitigationFailed", f"Orphan mitigation failed: {message}"
    waiting.not_removed(draft, "unbindStatus", reason, message, outcome, world.limits)


def _is_being_tried(draft: Draft) -> bool:
    """Whether the pause is one of the removal, not one that was left by what it removes."""
    ready = conditions.found(draft.status.get("conditions"), "Ready") or {}
    return draft.status.get("currentOperation") == "Unbind" or ready.get("reason") == "ErrorEjectingServiceBinding"


def _is_deleting(binding: Object) -> bool:
    return bool(binding["metadata"].get("deletionTimestamp"))


def _without_finalizer(binding: Object) -> Object:
    return {"finalizers": [one for one in binding["metadata"].get("finalizers") or [] if one != names.FINALIZER]}


def _released(draft: Draft, binding: Object) -> Step:
    """Without its instance there is nobody to ask: the instance can only be gone because it was abandoned, and this with it."""
    message = f'References a non-existent ServiceInstance "{surroundings.key(binding)}"; nothing is asked of a broker'
    draft.ready("False", "ReferencesNonexistentInstance", message)
    draft.set(unbindStatus="NotRequired", orphanMitigationInProgress=False)
    draft.end()
    draft.warn("ReferencesNonexistentInstance", message)
    return draft.step(metadata=_without_finalizer(binding) if _is_deleting(binding) else None)


def _begin(draft: Draft, *, is_deleting: bool) -> None:
    properties = draft.status.get("inProgressProperties") or draft.status.get("externalProperties") or {}
    draft.set(currentOperation=None, nextAttemptTime=None)
    draft.begin("Unbind", properties)
    if is_deleting:
        draft.set(attempts=None)
        draft.ready("False", "UnbindingRequestInFlight", "Unbinding request for ServiceBinding in-flight to Broker")


def _request(binding: Object, instance: Object, world: World) -> Request:
    if (instance.get("status") or {}).get("asyncOpInProgress"):
        text = f'trying to unbind to ServiceInstance "{surroundings.key(binding)}" that has ongoing asynchronous operation'
        raise Blocked("ErrorAsyncOperationInProgress", text)
    referred = surroundings.referred(instance, world)
    query = {"service_id": referred.service_id, "plan_id": bind.plan_id(instance, referred)}
    may_be_async = bool(referred.service_class["spec"].get("bindingRetrievable"))
    user = identity.header(binding["spec"].get("userInfo"))
    return osb.request(Call.UNBIND, osb.binding_path(instance, binding), identity=user, query=query, may_be_async=may_be_async)
