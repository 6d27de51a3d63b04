"""Polling: the broker works on the binding, and is asked how far it is; at the end the credentials are fetched."""

from datetime import timedelta

from apb_controller.rules import orphans, osb, waiting
from apb_controller.rules.answers import Call, Kind, Outcome
from apb_controller.rules.bindings import bind, removal
from apb_controller.rules.bindings import world as surroundings
from apb_controller.rules.bindings.world import World
from apb_controller.rules.drafts import Draft
from apb_controller.rules.steps import Blocked, Object, Request, Step

TIMEOUT = "AsyncOperationTimeout"
TOO_LONG = "Stopping reconciliation retries because too much time has elapsed"
PROGRESS = {"Bind": ("Binding", bind.STARTED), "Unbind": ("Unbinding", removal.STARTED)}


def step(binding: Object, world: World) -> Step:
    """The next question, when it is due."""
    draft = Draft(binding.get("status"), world.now)
    if pause := draft.pause():
        return Step(wait_seconds=pause)
    try:
        return Step(request=_request(Call.LAST_OPERATION, binding, draft, world))
    except Blocked as why:
        return draft.blocked(why, world.limits)


def after(binding: Object, outcome: Outcome, world: World) -> Step:
    """What the answer makes of it. Only 200, 400, 404 and 410 end the polling (OSB 2.17, "Polling")."""
    draft = Draft(binding.get("status"), world.now)
    operation = draft.status.get("currentOperation") or "Bind"
    match outcome.kind:
        case Kind.SUCCEEDED if operation == "Bind":
            return _fetch(draft, binding, world)
        case Kind.SUCCEEDED:
            return removal.succeeded(draft, binding, world)
        case Kind.GONE if operation == "Unbind":
            return removal.succeeded(draft, binding, world)
        case Kind.FAILED:
            failure = f"{operation} call failed: {outcome.description}"
            _failed(draft, operation, binding, "BindCallFailed", failure, world)
        case Kind.INVALID | Kind.NOT_FOUND:
            _failed(draft, operation, binding, waiting.NOT_POLLED, f"Error polling last operation: {outcome.error}", world)
        case _ if draft.has_taken(_longest(world)):
            end = "will not be retried" if operation == "Bind" else "is asked for again"
            text = f"The asynchronous {operation} operation timed out and {end}"
            _failed(draft, operation, binding, TIMEOUT, text, world, "ErrorReconciliationRetryTimeout", TOO_LONG)
        case _:
            waiting.in_progress(draft, *PROGRESS[operation], outcome, world.limits)
    return draft.step()


def after_fetch(binding: Object, outcome: Outcome, world: World) -> Step:
    """The credentials, or why they were not given: what makes no sense is undone and made again, anything else asked for again."""
    draft = Draft(binding.get("status"), world.now)
    if outcome.kind is Kind.DONE:
        return bind.injection(draft, binding, outcome, world)
    message = f"Could not do a GET on binding resource: {outcome.error}"
    if draft.has_taken(_longest(world)):
        _failed(draft, "Bind", binding, "FetchingBindingFailed", message, world)
        return draft.step()
    draft.ready("False", "FetchingBindingFailed", message)
    draft.warn("FetchingBindingFailed", message)
    draft.try_later(world.limits, outcome)
    if outcome.kind in (Kind.INVALID, Kind.REFUSED, Kind.MALFORMED):
        orphans.begin(draft, bind.ORPHAN, "FetchingBindingFailed", message)
    return draft.step()


def _fetch(draft: Draft, binding: Object, world: World) -> Step:
    """Nothing is written: should the controller die, it polls again and hears the same."""
    try:
        return Step(request=_request(Call.GET_BINDING, binding, draft, world))
    except Blocked as why:
        return draft.blocked(why, world.limits)


def _request(call: Call, binding: Object, draft: Draft, world: World) -> Request:
    if world.instance is None:
        raise Blocked("ReferencesNonexistentInstance", f'References a non-existent ServiceInstance "{surroundings.key(binding)}"')
    referred = surroundings.referred(world.instance, world)
    query = {"service_id": referred.service_id, "plan_id": bind.plan_id(world.instance, referred)}
    path = osb.binding_path(world.instance, binding)
    if call is Call.LAST_OPERATION:
        return osb.request(call, path + "/last_operation", query={**query, "operation": draft.status.get("lastOperation")})
    return osb.request(call, path, query=query)


def _failed(
    draft: Draft,
    operation: str,
    binding: Object,
    reason: str,
    message: str,
    world: World,
    failure: str | None = None,
    final: str | None = None,
) -> None:
    if operation == "Unbind":
        removal.failed(draft, binding, message, None, world)
    else:
        bind.failed(draft, reason, message, failure or reason, final, is_orphan_possible=True)


def _longest(world: World) -> timedelta:
    """The plan's `maximum_polling_duration`, otherwise the time for retries."""
    try:
        plan = surroundings.referred(world.instance, world).plan if world.instance else None
    except Blocked:
        plan = None
    seconds = plan["spec"].get("maximumPollingDuration") if plan else None
    return timedelta(seconds=seconds) if seconds else world.limits.retry_duration
