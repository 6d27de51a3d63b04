"""Update: the instance is at its broker, and its spec has changed or `updateRequests` was raised."""

from apb_controller.rules import osb
from apb_controller.rules.answers import Call, Kind, Outcome
from apb_controller.rules.drafts import Draft
from apb_controller.rules.instances import preparation, provision
from apb_controller.rules.instances.world import World
from apb_controller.rules.steps import NOTHING, Blocked, Object, Request, Step

STARTED = "The instance is being updated asynchronously"
RETURNED = "ServiceBroker returned a failure for update call;"


def step(instance: Object, world: World) -> Step:
    """What is done next."""
    draft = preparation.draft(instance, world)
    if preparation.is_done(instance, draft):
        return NOTHING
    if preparation.is_of_new_spec(draft):
        if _is_unanswered(draft):
            draft.set(outcomeUncertain=True)
        draft.end()
        return draft.step()
    if pause := draft.pause():
        return Step(wait_seconds=pause)
    try:
        adopted = preparation.adoption(instance, world)
        if adopted:
            return adopted
        prepared = preparation.prepare(instance, world)
        _require_offered(draft, prepared)
    except Blocked as why:
        return draft.blocked(why, world.limits)
    if draft.status.get("currentOperation") == "Update" and draft.status.get("inProgressProperties") == prepared.properties:
        if draft.may_have_been_sent(world.leading_since):
            draft.set(outcomeUncertain=True)
            return draft.step()
        return Step(request=_request(instance, draft, prepared, world))
    draft.begin("Update", prepared.properties)
    draft.ready("False", "UpdateInstanceRequestInFlight", "Update request for ServiceInstance in-flight to Broker")
    return draft.step()


def after(instance: Object, outcome: Outcome, world: World) -> Step:
    """What the broker's answer makes of it. An update leaves no orphan, whatever its end (OSB 2.17, "Orphan Mitigation")."""
    draft = Draft(instance.get("status"), world.now)
    match outcome.kind:
        case Kind.DONE:
            succeeded(draft, outcome)
        case Kind.STARTED:
            draft.start_polling(outcome.operation, world.limits, outcome.retry_after)
            provision.learned(draft, outcome)
            draft.ready("False", "UpdatingInstance", STARTED)
            draft.tell("UpdatingInstance", STARTED)
        case Kind.INVALID:
            failed(draft, "UpdateInstanceCallFailed", f"{RETURNED} update will not be retried: {outcome.error}")
        case _:
            _failed_for_now(draft, outcome, world)
    return draft.step()


def succeeded(draft: Draft, outcome: Outcome) -> None:
    """The instance is as it is wanted."""
    message = "The instance was updated successfully"
    draft.set(externalProperties=draft.status.get("inProgressProperties"), outcomeUncertain=None)
    draft.set(reconciledGeneration=draft.status.get("observedGeneration"))
    provision.learned(draft, outcome)
    draft.end()
    draft.ready("True", "InstanceUpdatedSuccessfully", message)
    draft.tell("InstanceUpdatedSuccessfully", message)


def failed(draft: Draft, reason: str, message: str) -> None:
    """It is not tried again before the spec changes; the instance is as it was."""
    draft.fail(reason, message, reason)
    draft.end()


def _failed_for_now(draft: Draft, outcome: Outcome, world: World) -> None:
    reason, message = _failure(outcome)
    draft.warn(reason, message)
    if outcome.kind in (Kind.TIMEOUT, Kind.LOST, Kind.BROKEN_DOWN, Kind.MALFORMED):
        draft.set(outcomeUncertain=True)
    if draft.has_taken(world.limits.retry_duration):
        failed(draft, "ErrorReconciliationRetryTimeout", provision.TOO_LONG)
        return
    draft.ready("False", reason, message)
    draft.try_later(world.limits, outcome)
    draft.warn("RetryBackoff", f"Delaying update retry, next attempt will be after {draft.status['nextAttemptTime']}")


def _failure(outcome: Outcome) -> tuple[str, str]:
    if outcome.kind is Kind.TIMEOUT:
        text = f"Communication with the ServiceBroker timed out; update will be retried: {outcome.error}"
        return "ErrorCallingUpdateInstance", text
    if outcome.kind in (Kind.UNREACHABLE, Kind.LOST):
        cause = f"Error communicating with broker for updating: {outcome.error}"
        return "ErrorCallingUpdateInstance", f"The update call failed and will be retried: {cause}"
    return "UpdateInstanceCallFailed", f"{RETURNED} update will be retried: {outcome.error}"


def _is_unanswered(draft: Draft) -> bool:
    return draft.reason("Ready") == "UpdateInstanceRequestInFlight"


def _require_offered(draft: Draft, prepared: preparation.Prepared) -> None:
    """A plan that the catalog has no more can be kept, not changed to. Raises Blocked."""
    if not _is_plan_new(draft, prepared):
        return
    referred = prepared.referred
    for noun, thing, described in (
        ("Class", referred.service_class, referred.described_class),
        ("Plan", referred.plan, referred.described_plan),
    ):
        if (thing.get("status") or {}).get("removedFromBrokerCatalog"):
            raise Blocked(f"ReferencesDeletedService{noun}", f"{described} has been deleted; cannot update.")


def _external_plan(draft: Draft, prepared: preparation.Prepared) -> str | None:
    external = draft.status.get("externalProperties") or {}
    return external.get(f"{prepared.referred.scope.plan_field}ExternalID")


def _is_plan_new(draft: Draft, prepared: preparation.Prepared) -> bool:
    return _external_plan(draft, prepared) != prepared.referred.plan_id


def _request(instance: Object, draft: Draft, prepared: preparation.Prepared, world: World) -> Request:
    """Only what has changed; everything, when it is not known how an earlier update ended."""
    is_uncertain = bool(draft.status.get("outcomeUncertain"))
    external = draft.status.get("externalProperties") or {}
    is_plan_sent = is_uncertain or _is_plan_new(draft, prepared)
    are_parameters_sent = is_uncertain or external.get("parameterChecksum") != prepared.parameters.checksum
    maintenance = (prepared.referred.plan["spec"].get("maintenanceInfo") or {}).get("version")
    before = _external_plan(draft, prepared)
    body = {
        "service_id": prepared.referred.service_id,
        "plan_id": prepared.referred.plan_id if is_plan_sent else None,
        "parameters": prepared.parameters.values if are_parameters_sent else None,
        "context": osb.context(instance, world.cluster_id),
        "previous_values": {"plan_id": before} if before else None,
        "maintenance_info": {"version": maintenance} if maintenance and is_plan_sent else None,
    }
    return osb.request(Call.UPDATE, osb.instance_path(instance), identity=prepared.identity, body=body, may_be_async=True)
