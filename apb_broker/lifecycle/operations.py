"""Operations: from acceptance through claim and lease to their end. What an end does to its subject is in `lifecycle.outcomes`."""

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apb_broker.lifecycle import audit, errors, outcomes, variables
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from apb_broker.lifecycle.ownership import owns
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage import queue, tables
from apb_broker.storage.database import Unit
from apb_broker.storage.drafts import Draft
from apb_broker.storage.errors import StorageError
from apb_broker.storage.tables import Binding, Instance, Operation, Progress, Table

RETRY_SECONDS = (1, 5, 15, 60)
WAIT_POLL_SECONDS = 0.025
DESCRIPTION_LENGTH = 2000


def accept(
    broker: Broker,
    unit: Unit | Draft,
    kind: str,
    instance: Instance,
    caller: Caller,
    request: dict[str, Any],
    *,
    binding: Binding | None = None,
    waits_for: Operation | None = None,
    rows: Sequence[Table] = (),
) -> Operation:
    """Queues work in the unit that decided it, so that both exist or neither, together with new `rows` that it is about.

    The caller holds the instance's lock, or has a new one among the rows.
    """
    operation = tables.new(
        Operation,
        id=str(uuid.uuid4()),
        kind=kind,
        instance_id=instance.id,
        instance_name=instance.name,
        binding_id=None if binding is None else binding.id,
        service_name=instance.service_name,
        plan_name=instance.plan_name,
        principal=instance.principal,
        requested_by=caller.user,
        identity=caller.identity,
        state="queued",
        waits_for=waits_for.id if waits_for is not None and waits_for.is_active else None,
        deadline_at=datetime.now(UTC) + timedelta(seconds=broker.settings.operation_deadline_seconds),
    )
    unit.seal(operation, request=request)
    first_line = tables.new(Progress, operation_id=operation.id, text=f"{kind} accepted")
    unit.insert(*rows, operation, first_line, audit.acceptance(caller, operation), notify=queue.CHANNEL)
    return operation


def ours(instance: Instance) -> Caller:
    """Who asks when nobody does: the broker itself, for the owner."""
    return Caller(instance.principal or "", "apb")


def cancel(broker: Broker, unit: Unit, operation: Operation, reason: str) -> None:
    """Ends an operation nobody has begun; asks the owner of a running one to halt it. The caller holds the instance's lock."""
    # The row itself is locked too: a claim does not take the instance's lock.
    unit.session.refresh(operation, with_for_update=True)
    if operation.state == "queued":
        outcomes.apply(broker, unit, operation, Result("canceled", message=reason))
    elif operation.state == "running":
        operation.cancel_requested = True
        queue.append_progress(unit, operation.id, reason)
    (queue.notify_owner if operation.cancel_requested else queue.notify)(unit)


def accept_unbind(
    broker: Broker, unit: Unit, instance: Instance, binding: Binding, caller: Caller, *, halting: Operation | None = None
) -> Operation:
    """Queues the removal of a binding, canceling what makes it. The caller holds the instance's lock."""
    if halting is not None:
        cancel(broker, unit, halting, "canceled: the binding is to be removed")
    binding.state = "unbinding"
    return accept(broker, unit, "unbind", instance, caller, {}, binding=binding, waits_for=halting)


def active_on_instance(unit: Unit, instance_id: str) -> Operation | None:
    """The operation in progress on the instance itself. A removal counts before what it waits for."""
    active = [operation for operation in unit.active_operations(instance_id) if operation.binding_id is None]
    return active[-1] if active else None


def busy(instance: Instance, active: Operation) -> errors.Busy:
    """The refusal of a request that an operation in progress stands in the way of."""
    return errors.Busy(f"instance {instance.id} is busy: operation {active.id} ({active.kind}) is in progress")


@dataclass(frozen=True)
class Work:
    """A claimed operation, with all that running it takes."""

    operation_id: str
    epoch: int
    kind: str
    action: str  # its playbook (lifecycle.variables)
    instance_id: str
    binding_id: str | None
    role: str
    target: str
    variables: dict[str, Any]
    secrets: tuple[str, ...]
    deadline_seconds: float


def claim(broker: Broker, owner: str, left: Collection[str] = ()) -> Work | None:
    """Takes the next operation that is due, or None. One that cannot be run at all is ended at once.

    `left` are operations that this worker could not carry out just now: others get them first, who may have a way to their host.
    """
    with broker.database.unit() as unit:
        operation = queue.claim(unit, owner=owner, lease_seconds=broker.settings.lease_seconds, left=left)
    if operation is None:
        return None
    try:
        with broker.database.unit() as unit:
            return _work(unit, operation.id)
    except StorageError:
        raise
    except Exception as error:  # whatever it is: it must not stop what is queued behind it
        finish(
            broker, operation.id, operation.epoch, Result("failed", message=f"the broker cannot run this: {type(error).__name__}: {error}")
        )
        return claim(broker, owner, left)


def _work(unit: Unit, operation_id: str) -> Work:
    operation = unit.operation(operation_id)
    instance = None if operation is None else unit.instance(operation.instance_id)
    if operation is None or instance is None:
        raise LookupError("the instance does not exist any more")
    binding = None if operation.binding_id is None else unit.binding(operation.instance_id, operation.binding_id)
    if binding is None and operation.binding_id is not None:
        raise LookupError("the binding does not exist any more")
    made = variables.build(unit, operation, instance, binding)
    remaining = (operation.deadline_at - datetime.now(UTC)).total_seconds()
    return Work(
        operation_id=operation.id,
        epoch=operation.epoch,
        kind=operation.kind,
        action=variables.action_of(operation),
        instance_id=instance.id,
        binding_id=operation.binding_id,
        role=instance.role,
        target=instance.placement["target"],
        variables=made,
        secrets=variables.secrets_of(made, operation, instance),
        deadline_seconds=max(remaining, 1.0),
    )


def renew(broker: Broker, held: dict[str, int]) -> dict[str, bool]:
    """Extends the leases of {operation id: epoch}; returns {operation id: whether to cancel} of those still ours."""
    with broker.database.unit() as unit:
        return queue.renew(unit, held, lease_seconds=broker.settings.lease_seconds)


def report(broker: Broker, operation_id: str, epoch: int, lines: list[str]) -> None:
    """Adds to the log of an operation we own; the last line is what platforms see as its description."""
    with broker.database.unit() as unit:
        if queue.write_as_owner(unit, operation_id, epoch, description=lines[-1][:DESCRIPTION_LENGTH]):
            queue.append_progress(unit, operation_id, *lines)


def finish(broker: Broker, operation_id: str, epoch: int, result: Result, lines: Sequence[str] = ()) -> bool:
    """Ends an operation as its owner and applies the outcome, in one transaction. False when somebody else owns it now.

    `lines` are what is still to be added to its log.
    """
    with broker.database.unit() as unit:
        operation = unit.operation(operation_id)
        if operation is None:
            return False
        unit.lock_instance(operation.instance_id)
        unit.session.refresh(operation, with_for_update=True)
        if operation.epoch != epoch or operation.state != "running":
            return False
        if lines:
            operation.description = lines[-1][:DESCRIPTION_LENGTH]
            queue.append_progress(unit, operation.id, *lines)
        _conclude(broker, unit, operation, result)
        return True


def sweep(broker: Broker) -> int:
    """Takes up what nobody works on: lost leases are run again or given up, missed deadlines end. Returns how many."""
    with broker.database.unit() as unit:
        found = [(row.id, row.instance_id) for row in queue.abandoned(unit, grace_seconds=broker.settings.grace_seconds)]
    for operation_id, instance_id in found:
        _sweep_one(broker, operation_id, instance_id)
    return len(found)


def _sweep_one(broker: Broker, operation_id: str, instance_id: str) -> None:
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)  # before the row: the order everybody takes them in
        still = queue.abandoned(unit, grace_seconds=broker.settings.grace_seconds, only=operation_id)
        if not still:
            return
        operation = still[0]
        if operation.state == "queued":
            _conclude(broker, unit, operation, Result("failed", message="not begun within its time: is a worker running?"))
        else:
            _conclude(broker, unit, operation, Result("lost", message="its worker was lost"))


def _conclude(broker: Broker, unit: Unit, operation: Operation, result: Result) -> None:
    """Applies a result to an operation whose row and instance are locked."""
    queue.notify(unit)  # something may wait for this end, or be claimed again
    if operation.cancel_requested:
        if result.status != "succeeded":
            result = Result("canceled", message="canceled")
    elif result.status == "canceled":
        # Nobody asked for it but the worker itself, which is to stop: that is no attempt of the operation's.
        operation.attempt -= 1
        queue.append_progress(unit, operation.id, "handed back: its worker stops")
        queue.requeue(unit, operation, delay_seconds=0)
        return
    elif result.may_be_repeated and _has_time(broker, operation):
        delay = RETRY_SECONDS[min(operation.attempt, len(RETRY_SECONDS)) - 1]
        queue.append_progress(unit, operation.id, f"{result.message or 'outcome unknown'}; to be run again in {delay} s")
        queue.requeue(unit, operation, delay_seconds=delay)
        return
    outcomes.apply(broker, unit, operation, result)
    if operation.kind == "bind" and result.status == "succeeded" and operation.state == "failed":
        _undo_bind(broker, unit, operation)


def _undo_bind(broker: Broker, unit: Unit, operation: Operation) -> None:
    """The role made an account whose credentials are not handed out: nobody else would remove it."""
    instance, binding = unit.instance(operation.instance_id), unit.binding(operation.instance_id, operation.binding_id or "")
    if instance is not None and binding is not None and instance.state != "deprovisioning":
        accept_unbind(broker, unit, instance, binding, ours(instance))


def _has_time(broker: Broker, operation: Operation) -> bool:
    return operation.attempt < broker.settings.max_attempts and operation.deadline_at > datetime.now(UTC)


def status(broker: Broker, caller: Caller, instance_id: str, binding_id: str | None, operation_id: str | None) -> dict[str, Any]:
    """How an operation stands, also after its instance is gone. Raises NotFound, Invalid.

    After a failed update or deprovision it tells whether the instance may still be used, and whether the update may be sent again.
    """
    with broker.database.reading() as unit:
        if operation_id is None and binding_id is None and _is_gone(unit, caller, instance_id):
            return {"kind": "deprovision", "state": "succeeded", "description": ""}  # what becomes of it since is not the platform's
        operation = None if operation_id is None else unit.standing(operation_id)
        if operation is None or (operation.instance_id, operation.binding_id) != (instance_id, binding_id):
            operation = unit.last_operation(instance_id, binding_id, asked_for=True)
            if operation is not None and operation_id is not None and owns(caller, operation):
                raise errors.Invalid(f"operation: {operation_id} is not an operation of this instance or binding")
        if operation is None or not owns(caller, operation):
            raise errors.NotFound("there is no such instance or binding")
        found: dict[str, Any] = {"kind": operation.kind, "state": operation.state, "description": operation.error or operation.description}
        if operation.state == "failed" and operation.kind in ("update", "deprovision"):
            instance = unit.instance(operation.instance_id)
            found["instance_usable"] = instance is not None and instance.state == "ready"
        if operation.state == "failed" and operation.kind == "update":
            found["update_repeatable"] = found["instance_usable"]  # each action may be run again on what it left
        return found


def _is_gone(unit: Unit, caller: Caller, instance_id: str) -> bool:
    instance = unit.instance(instance_id)
    return instance is not None and owns(caller, instance) and instance.is_deleted


def wait(broker: Broker, operation_id: str, seconds: float) -> str:
    """Waits for the end of an operation; returns its error text, "" for success. Raises Unfinished."""
    give_up = time.monotonic() + seconds
    while True:
        with broker.database.unit() as unit:
            operation = unit.operation(operation_id)
            if operation is None or not operation.is_active:
                return "" if operation is None or operation.state == "succeeded" else operation.error or "failed"
        if time.monotonic() >= give_up:
            raise errors.Unfinished
        time.sleep(WAIT_POLL_SECONDS)
