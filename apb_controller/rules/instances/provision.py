"""Provision: the instance is not at its broker yet."""

from apb_controller.rules import orphans, osb, parameters
from apb_controller.rules.answers import Call, Kind, Outcome
from apb_controller.rules.drafts import Draft
from apb_controller.rules.instances import preparation
from apb_controller.rules.instances.world import World
from apb_controller.rules.references import Referred, by_refs
from apb_controller.rules.steps import NOTHING, Blocked, Object, Request, Step

STARTED = "The instance is being provisioned asynchronously"
TOO_LONG = "Stopping reconciliation retries because too much time has elapsed"
ORPHAN = orphans.Texts(
    "OrphanMitigation",
    "StartingInstanceOrphanMitigation",
    "The instance provision call failed with an ambiguous error; attempting to deprovision the instance in order to mitigate an "
    "orphaned resource",
)


def step(instance: Object, world: World) -> Step:
    """What is done next."""
    draft = preparation.draft(instance, world)
    if preparation.is_done(instance, draft):
        return NOTHING
    if preparation.is_of_new_spec(draft):
        return _begin_anew(draft)
    if pause := draft.pause():
        return Step(wait_seconds=pause)
    try:
        adopted = preparation.adoption(instance, world)
        if adopted:
            return adopted
        prepared = preparation.prepare(instance, world)
        _require_offered(prepared.referred)
    except Blocked as why:
        return draft.blocked(why, world.limits)
    if _is_asked_already(draft):
        if draft.status["inProgressProperties"] != prepared.properties:
            return _begin_anew(draft)
        if draft.may_have_been_sent(world.leading_since):
            draft.set(outcomeUncertain=True)
            return draft.step()
        return Step(request=_request(instance, prepared, world))
    _begin(draft, prepared, world)
    return draft.step()


def after(instance: Object, outcome: Outcome, world: World) -> Step:
    """What the broker's answer makes of it."""
    draft = Draft(instance.get("status"), world.now)
    match outcome.kind:
        case Kind.DONE:
            succeeded(draft, outcome)
        case Kind.STARTED:
            _started(draft, outcome, world)
        case Kind.INVALID:
            message = _message(instance, outcome, world)
            # The request before, whose answer got lost, may have made what this one was refused.
            orphan = ORPHAN if draft.status.get("outcomeUncertain") else None
            failed(draft, "ProvisionCallFailed", message, "ClusterServiceBrokerReturnedFailure", orphan)
        case _:
            _failed_for_now(draft, instance, outcome, world)
    return draft.step()


def succeeded(draft: Draft, outcome: Outcome) -> None:
    """The instance is there."""
    message = "The instance was provisioned successfully"
    draft.set(externalProperties=draft.status.get("inProgressProperties"), provisionStatus="Provisioned", outcomeUncertain=None)
    draft.set(reconciledGeneration=draft.status.get("observedGeneration"))
    learned(draft, outcome)
    draft.end()
    draft.ready("True", "ProvisionedSuccessfully", message)
    draft.tell("ProvisionedSuccessfully", message)


def learned(draft: Draft, outcome: Outcome) -> None:
    """Dashboard and connection, of any answer that has them. `apb_connection` is an extension of apb's own broker."""
    if isinstance(url := outcome.body.get("dashboard_url"), str):
        draft.set(dashboardURL=url)
    if isinstance(connection := outcome.body.get("apb_connection"), dict):
        draft.set(connection=connection)


def failed(draft: Draft, reason: str, message: str, failure: str, orphan: orphans.Texts | None, final: str | None = None) -> None:
    """It is not tried again before the spec changes. `final`: what Failed says, if it is not what Ready does."""
    draft.fail(reason, message, failure, final)
    if orphan:
        orphans.begin(draft, orphan, reason, message)
    else:
        draft.set(deprovisionStatus="NotRequired")
        draft.end()


def _started(draft: Draft, outcome: Outcome, world: World) -> None:
    draft.start_polling(outcome.operation, world.limits, outcome.retry_after)
    learned(draft, outcome)
    draft.ready("False", "Provisioning", STARTED)
    draft.tell("Provisioning", STARTED)


def _failed_for_now(draft: Draft, instance: Object, outcome: Outcome, world: World) -> None:
    reason, message = _failure(instance, outcome, world)
    is_orphan_possible = outcome.is_orphan_possible
    if draft.has_taken(world.limits.retry_duration):
        is_orphan_possible = is_orphan_possible or bool(draft.status.get("outcomeUncertain"))
        failed(draft, reason, message, "ErrorReconciliationRetryTimeout", ORPHAN if is_orphan_possible else None, TOO_LONG)
        return
    draft.warn(reason, message)
    draft.ready("False", reason, message)
    if outcome.kind is Kind.LOST:
        draft.set(outcomeUncertain=True)
    if outcome.kind is Kind.REFUSED and not draft.status.get("outcomeUncertain"):
        draft.set(deprovisionStatus="NotRequired")  # until it is asked again
    draft.try_later(world.limits, outcome)
    if is_orphan_possible:
        orphans.begin(draft, ORPHAN, reason, message)
    else:
        draft.warn("RetryBackoff", f"Delaying provision retry, next attempt will be after {draft.status['nextAttemptTime']}")


def _failure(instance: Object, outcome: Outcome, world: World) -> tuple[str, str]:
    if outcome.kind is Kind.TIMEOUT:
        text = f"Communication with the ClusterServiceBroker timed out; operation will be retried: {outcome.error}"
        return "ErrorCallingProvision", text
    if outcome.kind in (Kind.UNREACHABLE, Kind.LOST):
        cause = f"Error communicating with broker for provisioning: {outcome.error}"
        return "ErrorCallingProvision", f"The provision call failed and will be retried: {cause}"
    return "ProvisionCallFailed", _message(instance, outcome, world)


def _message(instance: Object, outcome: Outcome, world: World) -> str:
    try:
        referred = by_refs(instance, world.classes, world.plans)
    except Blocked:
        return f"Error provisioning ServiceInstance: {outcome.error}"
    return f"Error provisioning ServiceInstance of {referred.described_class} at {referred.described_broker}: {outcome.error}"


def _require_offered(referred: Referred) -> None:
    """Raises Blocked when the catalog has it no more."""
    for noun, thing, described in (
        ("Class", referred.service_class, referred.described_class),
        ("Plan", referred.plan, referred.described_plan),
    ):
        if (thing.get("status") or {}).get("removedFromBrokerCatalog"):
            raise Blocked(f"ReferencesDeletedService{noun}", f"{described} has been deleted; cannot provision.")


def _is_asked_already(draft: Draft) -> bool:
    """Whether a request may be at the broker: it was recorded, and its answer was not."""
    return draft.status.get("currentOperation") == "Provision" and draft.status["deprovisionStatus"] == "Required"


def _begin_anew(draft: Draft) -> Step:
    """Something else is wanted. What was asked for may exist by now: the broker could only say that both conflict, so it goes first."""
    if _is_asked_already(draft):
        message = "The spec has changed while a provision request was in-flight to Broker"
        orphans.begin(draft, ORPHAN, "ProvisionRequestInFlight", message)
    else:
        draft.end()
    return draft.step()


def _begin(draft: Draft, prepared: preparation.Prepared, world: World) -> None:
    draft.begin("Provision", prepared.properties)
    draft.set(deprovisionStatus="Required")
    if world.has_plan_defaults and "defaultProvisionParameters" not in draft.status:
        draft.set(defaultProvisionParameters=parameters.with_defaults(*prepared.referred.defaults, None))
    draft.ready("False", "ProvisionRequestInFlight", "Provision request for ServiceInstance in-flight to Broker")


def _request(instance: Object, prepared: preparation.Prepared, world: World) -> Request:
    maintenance = (prepared.referred.plan["spec"].get("maintenanceInfo") or {}).get("version")
    body = {
        "service_id": prepared.referred.service_id,
        "plan_id": prepared.referred.plan_id,
        "organization_guid": world.cluster_id,
        "space_guid": prepared.space,
        "context": osb.context(instance, world.cluster_id),
        "parameters": prepared.parameters.values or None,
        "maintenance_info": {"version": maintenance} if maintenance else None,
    }
    return osb.request(Call.PROVISION, osb.instance_path(instance), identity=prepared.identity, body=body, may_be_async=True)
