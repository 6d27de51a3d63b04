"""ServiceBinding: what is done next, what an answer of the broker makes of it, and what became of its Secret."""

from apb_controller.rules.answers import Call, Outcome
from apb_controller.rules.bindings import bind, polling, removal
from apb_controller.rules.bindings.world import World
from apb_controller.rules.drafts import Draft
from apb_controller.rules.steps import Object, Step


def next_step(binding: Object, world: World) -> Step:
    """What is done next."""
    status = binding.get("status") or {}
    if status.get("asyncOpInProgress"):
        return polling.step(binding, world)
    if binding["metadata"].get("deletionTimestamp") or status.get("orphanMitigationInProgress"):
        return removal.step(binding, world)
    return bind.step(binding, world)


def after(binding: Object, call: Call, outcome: Outcome, world: World) -> Step:
    """What the answer to a step's request makes of the binding. A step with `secret` has it written first, then `after_secret`."""
    ended = {Call.BIND: bind.after, Call.UNBIND: removal.after, Call.LAST_OPERATION: polling.after, Call.GET_BINDING: polling.after_fetch}
    return ended[call](binding, outcome, world)


def after_secret(binding: Object, error: str | None, world: World) -> Step:
    """What the writing of the Secret makes of it; `error`: why it was not written."""
    return bind.after_secret(binding, error, world)


def after_deletion(binding: Object, error: str, world: World) -> Step:
    """The Secret could not be deleted."""
    draft = Draft(binding.get("status"), world.now)
    message = f"Error ejecting binding. Error deleting secret: {error}"
    draft.ready("False", "ErrorEjectingServiceBinding", message)
    draft.warn("ErrorEjectingServiceBinding", message)
    draft.try_later(world.limits)
    return draft.step()
