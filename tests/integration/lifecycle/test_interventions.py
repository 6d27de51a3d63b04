"""What operators do by hand: retry, cancel, forget."""

import pytest

from apb_broker.lifecycle import audit, errors, interventions, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage import queue
from apb_broker.storage.listening import Listener
from tests import scenarios

OPS = Caller("ops", "ops")
BROKEN = Result("failed", message="broken")


def subject_state(broker: Broker, binding_id: str | None = None) -> str:
    """The state of i1, or of a binding of it."""
    with broker.database.unit() as unit:
        row = unit.instance("i1") if binding_id is None else unit.binding("i1", binding_id)
        assert row is not None
        return row.state


@pytest.mark.parametrize("kind", ["provision", "deprovision", "bind", "unbind"])
def test_retry_runs_what_failed_again(broker: Broker, kind: str) -> None:
    """As a new operation, in the operator's name, which can succeed."""
    binding_id = "b1" if kind.endswith("bind") else None
    scenarios.provision(broker)
    if kind != "provision":
        scenarios.run(broker)
    if kind.endswith("bind"):
        scenarios.bind(broker)
    if kind == "unbind":
        scenarios.run(broker, scenarios.BOUND)
        scenarios.unbind(broker)
    if kind == "deprovision":
        scenarios.deprovision(broker)
    failed = scenarios.run(broker, BROKEN)
    assert (failed.kind, subject_state(broker, binding_id)) == (kind, "failed")
    again = interventions.retry(broker, OPS, failed.operation_id)
    assert (again["kind"], again["requested_by"], again["state"]) == (kind, "ops", "queued")
    work = scenarios.run(broker, scenarios.BOUND)
    assert work.operation_id == again["id"] != failed.operation_id
    with broker.database.unit() as unit:
        row = unit.instance("i1") if binding_id is None else unit.binding("i1", binding_id)
        assert (row and row.state) == (None if kind in ("deprovision", "unbind") else "ready")


def test_retry_runs_at_once_what_waits_to_be_run_again(broker: Broker) -> None:
    """A back-off is cut short; the operation stays the same."""
    accepted = scenarios.provision(broker)
    scenarios.run(broker, Result("failed", message="no route", transient=True))
    assert operations.claim(broker, "worker-1") is None
    assert interventions.retry(broker, OPS, accepted.operation_id or "")["id"] == accepted.operation_id
    assert scenarios.run(broker).operation_id == accepted.operation_id


def test_retry_is_refused_where_it_would_be_something_else(broker: Broker) -> None:
    """Updates are forgotten when they end; an older operation is not the last; one that runs or succeeded has nothing to repeat."""
    scenarios.ready(broker, "i1")
    first = scenarios.update(broker, parameters={"memory": 2})
    scenarios.run(broker, BROKEN)
    with pytest.raises(errors.Unsupported, match="send the update again"):
        interventions.retry(broker, OPS, first.operation_id or "")
    second = scenarios.update(broker, parameters={"memory": 2})
    with pytest.raises(errors.Unsupported, match="not the last"):
        interventions.retry(broker, OPS, first.operation_id or "")
    work = scenarios.claim(broker)
    with pytest.raises(errors.Busy, match="running"):
        interventions.retry(broker, OPS, second.operation_id or "")
    operations.finish(broker, work.operation_id, work.epoch, scenarios.SUCCESS)
    with pytest.raises(errors.Unsupported, match="succeeded"):
        interventions.retry(broker, OPS, second.operation_id or "")
    with pytest.raises(errors.NotFound):
        interventions.retry(broker, OPS, "none")


def test_cancel_ends_what_is_queued_and_halts_what_runs(broker: Broker) -> None:
    """A canceled provision is a failed one, which can be sent again or removed."""
    queued = scenarios.provision(broker)
    canceled = interventions.cancel(broker, OPS, queued.operation_id or "")
    assert (canceled["state"], canceled["error"], subject_state(broker)) == ("failed", "canceled by ops", "failed")
    running = scenarios.provision(broker)
    work = scenarios.claim(broker)
    assert interventions.cancel(broker, OPS, running.operation_id or "")["cancel_requested"]
    assert operations.renew(broker, {work.operation_id: work.epoch}) == {work.operation_id: True}
    assert operations.finish(broker, work.operation_id, work.epoch, Result("canceled"))
    assert subject_state(broker) == "failed"
    with pytest.raises(errors.Unsupported, match="nothing to cancel"):
        interventions.cancel(broker, OPS, running.operation_id or "")


def test_owner_is_told_when_to_look_what_is_to_be_halted(broker: Broker, database_url: str) -> None:
    """Workers hear of whatever is queued, too; only a cancel makes them ask for what they hold."""
    listener = Listener(database_url)
    assert listener.connect()
    running = scenarios.provision(broker)
    scenarios.claim(broker)
    assert listener.drain() == {""}
    interventions.cancel(broker, OPS, running.operation_id or "")
    assert queue.CANCEL in listener.drain()
    listener.close()


def test_cancel_of_a_queued_update_changes_nothing(broker: Broker) -> None:
    """The instance stays as it is, and ready."""
    scenarios.ready(broker, "i1", parameters={"memory": 1})
    change = scenarios.update(broker, parameters={"memory": 2})
    interventions.cancel(broker, OPS, change.operation_id or "")
    with broker.database.unit() as unit:
        row = unit.instance("i1")
        assert row is not None
        assert (row.state, row.parameters["memory"], unit.reserved("i1")) == ("ready", 1, {0: 1.0})


def test_forget_takes_an_instance_out_of_the_books_after_its_removal_failed(broker: Broker) -> None:
    """Its port is free; what is left on the host is told, and is in the audit; the platform's next DELETE is 410."""
    scenarios.ready(broker, "i1")
    with pytest.raises(errors.Unsupported, match="deprovision it first"):
        interventions.forget(broker, OPS, "i1")
    scenarios.deprovision(broker)
    scenarios.run(broker, Result("failed", message="no route to host"))
    left = interventions.forget(broker, OPS, "i1")
    assert (left["ports"], left["placement"]["host"]) == ({"client": 31000}, "localhost")
    with pytest.raises(errors.Gone):
        scenarios.deprovision(broker)
    assert scenarios.provision(broker, "i2").connection["port"] == 31000
    newest = audit.read(broker, instance_id="i1", before=None, limit=1)[0]
    assert (newest["action"], newest["requested_by"], left["names"]["slug"] in newest["detail"]) == ("forget", "ops", True)


def test_everything_that_is_done_is_in_the_audit(broker: Broker) -> None:
    """Who asked, how the platform named them, what became of it, and who was given credentials."""
    ann = Caller("cf", "ann", {"platform": "cloudfoundry", "value": {"user_id": "ann"}}, "request-1")
    scenarios.provision(broker, "i-audit", caller=ann)
    scenarios.run(broker, BROKEN)
    found = audit.read(broker, instance_id="i-audit", before=None, limit=10)
    ended, accepted = found
    assert (accepted["principal"], accepted["requested_by"], accepted["request_id"]) == ("cf", "ann", "request-1")
    assert (accepted["action"], accepted["outcome"], accepted["identity"]["value"]) == ("provision", "accepted", {"user_id": "ann"})
    assert (ended["requested_by"], ended["outcome"], ended["detail"]) == ("apb", "failed", "broken")
    assert audit.read(broker, instance_id="i-audit", before=ended["seq"], limit=10) == [accepted]
