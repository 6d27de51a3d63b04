"""Repair: the provision of a failing instance is run again, where the operator wants that. It is bounded, and never makes things worse.

A provision may be run again at any time, finds every account of the live bindings in what it is told, and re-initialises nothing. So a
repair that fails leaves the instance as ready as it was: health says what is wrong.
"""

from datetime import timedelta

from apb_broker.catalog.config import Repair
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Health, Instance, Operation

REPAIR = "repair"
BACK_OFF_SECONDS = (0, 300, 900, 3600, 6 * 3600)
"""Between one repair and the next, until the instance is well; the last one from then on."""


def policy(broker: Broker, instance: Instance) -> Repair:
    """What the operator wants done about this instance."""
    return broker.catalog.repair(instance.plan_id) or broker.settings.repair


def begin(broker: Broker, unit: Unit, row: Health, instance: Instance) -> None:
    """Queues a repair of a failing instance that nobody works on, unless it is too early or was tried often enough."""
    allowed = broker.settings.repair_attempts
    if row.repairs >= allowed:
        row.message = f"{row.message} (repaired {row.repairs} times without success, and not again until it is well: see the operations)"
        row.repair_at = None
        return
    now = unit.now()
    if row.repair_at is not None and row.repair_at > now:
        return
    row.repairs += 1
    row.repair_at = now + timedelta(seconds=BACK_OFF_SECONDS[min(row.repairs, len(BACK_OFF_SECONDS) - 1)])
    accept(broker, unit, instance, operations.ours(instance))


def accept(broker: Broker, unit: Unit, instance: Instance, caller: Caller) -> Operation:
    """Queues a repair. The caller holds the instance's lock and knows that it is ready and quiet."""
    return operations.accept(broker, unit, REPAIR, instance, caller, {"parameters": instance.parameters})
