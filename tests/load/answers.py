"""Which answers are right while an instance or binding is in a state, by OSB 2.17; where that leaves a choice, either."""

from collections.abc import Callable
from typing import Any

from tests.load.history import ENDS, IN_PROGRESS, Exchange
from tests.load.timeline import UNKNOWN, State, changed

STATES = (IN_PROGRESS, *ENDS)
CREDENTIALS = "credentials"


def is_concurrency_error(exchange: Exchange) -> bool:
    """422 ConcurrencyError with a sentence."""
    return exchange.status == 422 and exchange.answer.get("error") == "ConcurrencyError" and bool(exchange.answer.get("description"))


def is_async_required(exchange: Exchange) -> bool:
    """422 AsyncRequired."""
    return exchange.status == 422 and exchange.answer.get("error") == "AsyncRequired"


def is_refusal(exchange: Exchange) -> bool:
    """422 without a code: the instance's state forbids it."""
    return exchange.status == 422 and "error" not in exchange.answer and bool(exchange.answer.get("description"))


def is_same(state: State, asked: tuple[Any, Any]) -> bool | None:
    """Whether the subject is what was asked for. None: nobody outside knows."""
    if state.attributes is None or UNKNOWN in (state.attributes, asked):
        return None
    return state.attributes == asked


def is_same_binding(state: State, predecessor: str | None, parameters: Any) -> bool | None:
    """The same of a binding. A rotation is asked for without parameters: they are its predecessor's."""
    if state.attributes is None or state.attributes == UNKNOWN:
        return None
    return state.attributes[0] == predecessor and (predecessor is not None or state.attributes[1] == parameters)


def provision(state: State, exchange: Exchange) -> bool:
    """PUT of an instance."""
    if not exchange.can_wait:
        return is_async_required(exchange)
    same = is_same(state, (exchange.asked["plan"], exchange.asked["parameters"]))
    match state.name:
        case "provisioning":
            return _continues(state, exchange) if same else exchange.status == 409
        case "ready" | "updating":
            return exchange.status == (200 if same else 409)
        case "broken" | "stuck":
            return exchange.status == 409 and not (same and state.name == "broken")
        case "removing":
            return is_concurrency_error(exchange)
    return False  # absent: it is accepted, and that is seen in the next state


def update(state: State, exchange: Exchange, *, bindings_are_busy: bool = False) -> bool:
    """PATCH of an instance."""
    if state.name == "absent":
        return exchange.status == 404
    after = changed(state.attributes or UNKNOWN, exchange.asked)
    if after != state.attributes and not exchange.can_wait:
        return is_async_required(exchange)
    if is_concurrency_error(exchange) and bindings_are_busy:
        return True
    match state.name:
        case "provisioning" | "removing":
            return is_concurrency_error(exchange)
        case "ready":
            return exchange.status == 200 and after == state.attributes
        case "updating":
            return _continues(state, exchange) if after == state.desired else is_concurrency_error(exchange)
    return is_refusal(exchange)


def deprovision(state: State, exchange: Exchange, *, bindings_are_busy: bool = False) -> bool:
    """DELETE of an instance. What it meets in progress is halted, or makes it wait with a ConcurrencyError: both are conformant."""
    if not exchange.can_wait:
        return is_async_required(exchange)
    match state.name:
        case "absent":
            return exchange.status == 410
        case "removing":
            return _continues(state, exchange)
        case "updating":
            return is_concurrency_error(exchange)
    return bindings_are_busy and is_concurrency_error(exchange)


def fetch(state: State, exchange: Exchange) -> bool:
    """GET of an instance."""
    shown = (exchange.answer.get("plan_id"), exchange.answer.get("parameters"))
    match state.name:
        case "ready":
            return exchange.status == 200 and shown == state.attributes
        case "updating":
            return is_concurrency_error(exchange)
        case "removing" | "stuck":
            return exchange.status == 404 or (exchange.status == 200 and shown in (state.attributes, state.earlier))
    return exchange.status == 404


def bind(state: State, instance: State, exchange: Exchange) -> bool:
    """PUT of a binding, while its instance is in another state."""
    if instance.name == "absent":
        return exchange.status == 404
    if exchange.asked.get("plan") is not None:
        plans = [attributes[0] for attributes in (instance.attributes, instance.earlier) if attributes is not None]
        if exchange.status == 400 and plans != [exchange.asked["plan"]] * len(plans):
            return True
        if exchange.asked["plan"] not in plans:
            return False
    same = is_same_binding(state, exchange.asked.get("predecessor"), exchange.asked.get("parameters"))
    if state.name == "absent" or (state.name == "broken" and same is not False and exchange.status == 422):
        return is_refusal(exchange) if instance.name in ("broken", "stuck") else instance.name != "ready" and is_concurrency_error(exchange)
    if same is None:
        return exchange.status in (200, 202, 409) or is_concurrency_error(exchange)
    match state.name:
        case "binding":
            return _continues(state, exchange) if same else exchange.status == 409
        case "ready":
            return _hands_out(exchange) if same else exchange.status == 409
        case "unbinding":
            return is_concurrency_error(exchange) if same else exchange.status == 409
    return exchange.status == 409 and not (same and state.name == "broken")


def bind_at_once(state: State, instance: State, exchange: Exchange) -> bool:
    """A PUT of a binding that waits for its end. Whatever others do to it meanwhile is told too; its failure is a 500."""
    match exchange.status:
        case 201:
            return state.name == "ready" and CREDENTIALS in exchange.answer
        case 404:
            return instance.name == "absent" or state.name in ("absent", "binding", "broken")
        case 500:
            return bool(exchange.answer.get("description")) and state.name in ("broken", "binding", "unbinding", "stuck", "absent")
        case 422 if is_concurrency_error(exchange):
            return True  # too many callers wait
    return bind(state, instance, exchange)


def unbind(state: State, instance: State, exchange: Exchange) -> bool:
    """DELETE of a binding."""
    if state.name == "absent" or instance.name == "absent":
        return exchange.status == 410
    if state.name == "unbinding":
        return _continues(state, exchange)
    return instance.name in ("provisioning", "updating", "removing") and is_concurrency_error(exchange)


def unbind_at_once(state: State, instance: State, exchange: Exchange) -> bool:
    """A DELETE of a binding that waits for its end."""
    match exchange.status:
        case 200:
            return state.name == "absent" and exchange.answer == {}
        case 500:
            return bool(exchange.answer.get("description")) and state.name in ("stuck", "unbinding", "absent")
        case 422 if is_concurrency_error(exchange):
            return True
    return unbind(state, instance, exchange)


def fetch_binding(state: State, exchange: Exchange) -> bool:
    """GET of a binding."""
    if exchange.status == 200:
        return state.name in ("ready", "unbinding", "stuck") and _hands_out(exchange) and _shows(state, exchange)
    return exchange.status == 404 and state.name != "ready"


def _shows(state: State, exchange: Exchange) -> bool:
    known = None if state.attributes is None else state.attributes[1]
    return known is None or exchange.answer.get("parameters") == known


def poll(exchange: Exchange, *, may_be_unknown: bool) -> bool:
    """Polling: an operation that was handed out is known for good."""
    return (exchange.status == 200 and exchange.answer.get("state") in STATES) or (exchange.status == 404 and may_be_unknown)


def _continues(state: State, exchange: Exchange) -> bool:
    """202 with the operation in progress, and without what is not made yet."""
    return state.operation is not None and exchange.operation == state.operation.id and CREDENTIALS not in exchange.answer


def _hands_out(exchange: Exchange) -> bool:
    return exchange.status == 200 and bool(exchange.answer.get(CREDENTIALS))


OF_INSTANCE: dict[str, Callable[..., bool]] = {"provision": provision, "update": update, "deprovision": deprovision, "fetch": fetch}
