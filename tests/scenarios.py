"""Short ways to bring a broker into a state, without a worker: accept, claim, finish."""

import uuid
from typing import Any

from apb_broker.lifecycle import bindings, instances, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work
from apb_broker.lifecycle.outcomes import Result
from apb_broker.lifecycle.requests import Accepted, Bind, Caller, Deprovision, Provision, Unbind, Update
from apb_broker.storage.database import Database

ANN = Caller("admin", "ann")
SUCCESS = Result("succeeded")
CREDENTIALS = {
    "type": "redis",
    "host": "127.0.0.1",
    "port": 31000,
    "username": "b0123456789ab",
    "password": "s3cret-of-the-binding",
    "uri": "redis://b0123456789ab:s3cret-of-the-binding@127.0.0.1:31000",
}
BOUND = Result("succeeded", {"credentials": CREDENTIALS})


def empty(database: Database) -> None:
    """Takes everything out of a database of the tests' own."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE instances, health, bindings, operations, progress, allocations, reservations, workers")
        connection.exec_driver_sql("TRUNCATE keys, key_holders")


def ids(broker: Broker) -> dict[str, str]:
    """The ids of the first service that is offered and of its first plan: redis-standard, unless a test offers something else."""
    service = broker.catalog.osb()["services"][0]
    return {"service_id": service["id"], "plan_id": service["plans"][0]["id"]}


def provision(broker: Broker, instance_id: str = "i1", **changes: Any) -> Accepted:
    """Accepts an instance."""
    request = {
        "instance_id": instance_id,
        **ids(broker),
        "organization": "org",
        "space": "space",
        "caller": ANN,
        "accepts_incomplete": True,
    }
    return instances.provision(broker, Provision(**{**request, **changes}))


def update(broker: Broker, instance_id: str = "i1", **changes: Any) -> Accepted:
    """Accepts an update."""
    request = {"instance_id": instance_id, "service_id": ids(broker)["service_id"], "caller": ANN, "accepts_incomplete": True}
    return instances.update(broker, Update(**{**request, **changes}))


def deprovision(broker: Broker, instance_id: str = "i1") -> Accepted:
    """Accepts a removal."""
    return instances.deprovision(broker, Deprovision(ANN, instance_id, accepts_incomplete=True))


def bind(broker: Broker, instance_id: str = "i1", binding_id: str = "b1", **changes: Any) -> Accepted:
    """Accepts a binding."""
    return bindings.bind(broker, Bind(**{"instance_id": instance_id, "binding_id": binding_id, **ids(broker), "caller": ANN, **changes}))


def unbind(broker: Broker, instance_id: str = "i1", binding_id: str = "b1") -> Accepted:
    """Accepts an unbinding."""
    return bindings.unbind(broker, Unbind(ANN, instance_id, binding_id))


def claim(broker: Broker, owner: str = "worker-1") -> Work:
    """Claims what is there to be claimed."""
    work = operations.claim(broker, owner)
    assert work is not None, "nothing is due"
    return work


def run(broker: Broker, result: Result = SUCCESS) -> Work:
    """Claims the next operation and ends it so."""
    work = claim(broker)
    assert operations.finish(broker, work.operation_id, work.epoch, result)
    return work


def ready(broker: Broker, instance_id: str | None = None, **changes: Any) -> str:
    """An instance that is provisioned; returns its id."""
    instance_id = instance_id or str(uuid.uuid4())
    provision(broker, instance_id, **changes)
    run(broker)
    return instance_id


def state(broker: Broker, operation_id: str | None) -> str:
    """The state of an operation."""
    with broker.database.unit() as unit:
        row = unit.operation(operation_id or "")
        assert row is not None
        return row.state
