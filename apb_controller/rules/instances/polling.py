"""Polling: the broker works on the instance, and is asked how far it is."""

from datetime import timedelta

from apb_controller.rules import osb, references, waiting
from apb_controller.rules.answers import Call, Kind, Outcome
from apb_controller.rules.drafts import Draft
from apb_controller.rules.instances import provision, removal, update
from apb_controller.rules.instances.world import World
from apb_controller.rules.steps import Blocked, Object, Step

PROGRESS = {
    "Provision": ("Provisioning", provision.STARTED),
    "Update": ("UpdatingInstance", update.STARTED),
    "Deprovision": ("Deprovisioning", removal.STARTED),
}
FAILURE = {
    "Provision": ("ProvisionCallFailed", "Provision call failed: "),
    "Update": ("UpdateInstanceCallFailed", "Update call failed: "),
    "Deprovision": ("DeprovisionCallFailed", "Deprovision call failed: "),
}
TIMEOUT = "ErrorReconciliationRetryTimeout"


def step(instance: Object, world: World) -> Step:
    """The next question, when it is due."""
    draft = Draft(instance.get("status"), world.now)
    if pause := draft.pause():
        return Step(wait_seconds=pause)
    try:
        referred = references.by_refs(instance, world.classes, world.plans)
        references.require_broker(referred, world.broker)
    except Blocked as why:
        return draft.blocked(why, world.limits)
    query = {
        "service_id": referred.service_id,
        "plan_id": removal.plan_id(draft, referred),  # after a change of the plan the one before it
        "operation": draft.status.get("lastOperation"),
    }
    return Step(request=osb.request(Call.LAST_OPERATION, osb.instance_path(instance) + "/last_operation", query=query))


def after(instance: Object, outcome: Outcome, world: World) -> Step:
    """What the answer makes of it. Only 200, 400, 404 and 410 end the polling (OSB 2.17, "Polling")."""
    draft = Draft(instance.get("status"), world.now)
    operation = draft.status.get("currentOperation") or "Provision"
    is_removal = operation == "Deprovision"
    match outcome.kind:
        case Kind.SUCCEEDED:
            return _succeeded(draft, operation, instance, outcome, world)
        case Kind.GONE if is_removal:
            return removal.succeeded(draft, instance, world)
        case Kind.FAILED:
            reason, beginning = FAILURE[operation]
            _failed(draft, operation, instance, reason, beginning + outcome.description, world)
        case Kind.INVALID | Kind.NOT_FOUND:
            _failed(draft, operation, instance, waiting.NOT_POLLED, f"Error polling last operation: {outcome.error}", world)
        case _ if draft.has_taken(_longest(instance, world)):
            _failed(draft, operation, instance, TIMEOUT, provision.TOO_LONG, world)
        case _:
            waiting.in_progress(draft, *PROGRESS[operation], outcome, world.limits)
    return draft.step()


def _succeeded(draft: Draft, operation: str, instance: Object, outcome: Outcome, world: World) -> Step:
    if operation == "Deprovision":
        return removal.succeeded(draft, instance, world)
    (provision if operation == "Provision" else update).succeeded(draft, outcome)
    return draft.step()


def _failed(draft: Draft, operation: str, instance: Object, reason: str, message: str, world: World) -> None:
    if operation == "Deprovision":
        removal.failed(draft, instance, message, None, world)
    elif operation == "Update":
        update.failed(draft, reason, message)
    else:
        provision.failed(draft, reason, message, reason, provision.ORPHAN)


def _longest(instance: Object, world: World) -> timedelta:
    """The plan's `maximum_polling_duration`, otherwise the time for retries."""
    try:
        plan = references.by_refs(instance, world.classes, world.plans).plan
    except Blocked:
        return world.limits.retry_duration
    seconds = plan["spec"].get("maximumPollingDuration")
    return timedelta(seconds=seconds) if seconds else world.limits.retry_duration
