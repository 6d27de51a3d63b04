"""ServiceInstance: what is done next, and what an answer of the broker makes of it.

`next_step` and `after` are all that the shell calls. A step that is carried out, or that the controller did not live to carry out, leads
to the next one from what the object says: nothing is remembered anywhere else.
"""

from apb_controller.rules.answers import Call, Outcome
from apb_controller.rules.instances import polling, provision, removal, update
from apb_controller.rules.instances.world import World
from apb_controller.rules.steps import Object, Step


def next_step(instance: Object, world: World) -> Step:
    """What is done next."""
    status = instance.get("status") or {}
    if status.get("asyncOpInProgress"):
        return polling.step(instance, world)
    if instance["metadata"].get("deletionTimestamp") or status.get("orphanMitigationInProgress"):
        return removal.step(instance, world)
    if status.get("provisionStatus") == "Provisioned":
        return update.step(instance, world)
    return provision.step(instance, world)


def after(instance: Object, call: Call, outcome: Outcome, world: World) -> Step:
    """What the answer to a step's request makes of the instance."""
    ended = {
        Call.PROVISION: provision.after,
        Call.UPDATE: update.after,
        Call.DEPROVISION: removal.after,
        Call.LAST_OPERATION: polling.after,
    }
    return ended[call](instance, outcome, world)
