"""Deleted instances that are kept for a while: gone for their platform, the operator's to restore or to remove for good."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from apb_broker.lifecycle import bindings, errors, instances, interventions, janitor, kept, operations, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage.tables import Instance
from tests import boxes, scenarios
from tests.conftest import CONFIG

OPERATOR = Caller("ops", "ops")
KEPT_SECONDS = 7 * 86400
FAILURE = Result("failed", message="the host is down")


@pytest.fixture
def keeper(make_broker: Callable[[str], Broker], tmp_path: Path) -> Broker:
    """A broker whose servers are kept for a week, and of which an organization may have one."""
    config = CONFIG.format(directory=tmp_path).replace("targets: [local]}]", f"targets: [local], keep_deleted_seconds: {KEPT_SECONDS}}}]")
    return make_broker(f"{config}quotas: [{{per: organization, instances: 1}}]\n")


def row(broker: Broker, instance_id: str = "i1") -> Instance:
    """The instance as it is now."""
    with broker.database.unit() as unit:
        found = unit.instance(instance_id)
        assert found is not None
        return found


def kept_one(broker: Broker) -> str | None:
    """An instance with a binding, deleted and kept; returns the operation that its platform polls."""
    scenarios.ready(broker, "i1", parameters={"memory": 2})
    scenarios.bind(broker)
    scenarios.run(broker, scenarios.BOUND)
    removal = scenarios.deprovision(broker).operation_id
    scenarios.run(broker)
    return removal


def end_time(broker: Broker, seconds: float = 1) -> None:
    """The time of being kept was over so many seconds ago."""
    with broker.database.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET purge_at = now() - :ago * interval '1 second'"), {"ago": seconds})


def test_deleted_server_is_stopped_without_its_accounts_and_kept(keeper: Broker) -> None:
    """What runs is the stop, which is told every account that has to go; the time begins when it has succeeded."""
    scenarios.ready(keeper, "i1", parameters={"memory": 2})
    for binding_id, result in (("b1", scenarios.BOUND), ("b2", FAILURE)):
        scenarios.bind(keeper, "i1", binding_id)
        scenarios.run(keeper, result)
    scenarios.deprovision(keeper)
    work = scenarios.claim(keeper)
    assert (work.kind, work.action) == ("deprovision", "stop")
    assert {one["id"] for one in work.variables["apb_revoked"]} == {"b1", "b2"}
    assert all(one["password"] in work.secrets for one in work.variables["apb_revoked"])
    assert (work.variables["apb_bindings"], "apb_action" in work.variables) == ([], False)
    began = datetime.now(UTC)
    assert operations.finish(keeper, work.operation_id, work.epoch, scenarios.SUCCESS)
    found = row(keeper)
    assert found.state == "kept"
    assert found.purge_at is not None
    assert timedelta() <= found.purge_at - began - timedelta(seconds=KEPT_SECONDS) < timedelta(minutes=1)


def test_kept_instance_is_gone_for_its_platform(keeper: Broker) -> None:
    """As one that was removed: not found, gone, and its deletion has succeeded, whatever the operator does with it meanwhile."""
    removal = kept_one(keeper)
    for call in (
        lambda: instances.fetch(keeper, scenarios.ANN, "i1"),
        lambda: bindings.fetch(keeper, scenarios.ANN, "i1", "b1"),
        lambda: scenarios.update(keeper, parameters={"memory": 1}),
        lambda: scenarios.bind(keeper, "i1", "b2"),
    ):
        with pytest.raises(errors.NotFound):
            call()
    for remove in (scenarios.deprovision, scenarios.unbind):
        with pytest.raises(errors.Gone):
            remove(keeper)
    bindings.undo(keeper, "i1", "b1")
    assert operations.claim(keeper, "worker-1") is None
    kept.purge(keeper, OPERATOR, "i1")
    scenarios.run(keeper, FAILURE)
    for operation in (removal, None):
        assert operations.status(keeper, scenarios.ANN, "i1", None, operation)["state"] == "succeeded"


def test_id_of_a_kept_instance_is_refused_with_the_way_out(keeper: Broker) -> None:
    """Until when it is kept, and who may restore it how; while it is restored it is busy."""
    kept_one(keeper)
    until = f"{row(keeper).purge_at:%Y-%m-%d %H:%M} UTC"
    with pytest.raises(errors.Conflict, match=f"kept until {until}.*apb restore-instance i1.*apb purge i1"):
        scenarios.provision(keeper, "i1", parameters={"memory": 2})
    kept.restore(keeper, OPERATOR, "i1")
    with pytest.raises(errors.Busy, match="is being restored"):
        scenarios.provision(keeper, "i1", parameters={"memory": 2})


def test_kept_instance_has_its_port_and_its_place_in_the_quota(keeper: Broker) -> None:
    """Its disk is full of data still: it would be a way around both."""
    kept_one(keeper)
    with pytest.raises(errors.QuotaReached):
        scenarios.provision(keeper, "i2")
    assert scenarios.provision(keeper, "i2", organization="other").connection["port"] == 31001


def test_restored_instance_is_its_owners_again_as_it_was(keeper: Broker) -> None:
    """Same names, port and parameters; its former bindings are gone, and a request of its platform finds it made."""
    kept_one(keeper)
    before = row(keeper)
    told = kept.restore(keeper, OPERATOR, "i1")
    assert kept.restore(keeper, OPERATOR, "i1")["id"] == told["id"]
    work = scenarios.claim(keeper)
    assert (work.kind, work.action, work.operation_id) == ("provision", "restore", told["id"])
    assert (work.variables["apb_parameters"], work.variables["apb_plan"]) == ({"memory": 2}, "redis-standard")
    assert [one["id"] for one in work.variables["apb_revoked"]] == ["b1"]
    with pytest.raises(errors.NotFound):
        instances.fetch(keeper, scenarios.ANN, "i1")
    assert operations.finish(keeper, work.operation_id, work.epoch, scenarios.SUCCESS)
    after = row(keeper)
    assert (after.state, after.purge_at) == ("ready", None)
    assert [(one.names, one.ports, one.placement, one.connection) for one in (before, after)] == [
        (before.names, before.ports, before.placement, before.connection)
    ] * 2
    with pytest.raises(errors.Gone):
        scenarios.unbind(keeper)
    again = scenarios.provision(keeper, "i1", parameters={"memory": 2})
    assert (again.operation_id, again.created) == (None, False)
    scenarios.bind(keeper)
    scenarios.run(keeper, scenarios.BOUND)
    assert scenarios.deprovision(keeper).created


def test_restore_that_failed_is_run_again_and_has_a_day(keeper: Broker) -> None:
    """By its own command or as a retry; the sweep does not remove meanwhile what somebody wants back."""
    kept_one(keeper)
    end_time(keeper)
    failed = kept.restore(keeper, OPERATOR, "i1")["id"]
    scenarios.run(keeper, FAILURE)
    assert row(keeper).state == "failed"
    purge_at = row(keeper).purge_at
    assert purge_at is not None
    assert purge_at > datetime.now(UTC) + timedelta(hours=23)
    assert kept.purge_due(keeper) == 0
    interventions.retry(keeper, OPERATOR, failed)
    assert scenarios.run(keeper).action == "restore"
    assert row(keeper).state == "ready"


def test_restore_whose_worker_was_killed_is_run_by_the_next(keeper: Broker) -> None:
    """The same run with a new epoch; the old one's result is refused."""
    kept_one(keeper)
    kept.restore(keeper, OPERATOR, "i1")
    lost = scenarios.claim(keeper)
    with keeper.database.engine.begin() as connection:
        connection.execute(text("UPDATE operations SET lease_until = now() - interval '1 hour' WHERE id = :id"), {"id": lost.operation_id})
    assert operations.sweep(keeper) == 1
    with keeper.database.engine.begin() as connection:
        connection.execute(text("UPDATE operations SET due_at = now()"))
    again = scenarios.claim(keeper)
    assert (again.action, again.operation_id, again.epoch > lost.epoch) == ("restore", lost.operation_id, True)
    assert not operations.finish(keeper, lost.operation_id, lost.epoch, scenarios.SUCCESS)
    assert operations.finish(keeper, again.operation_id, again.epoch, scenarios.SUCCESS)
    assert row(keeper).state == "ready"


def test_sweep_removes_for_good_when_the_time_is_over(keeper: Broker) -> None:
    """By itself, not before; a removal that fails is tried again as any that failed is; then port and quota are free."""
    kept_one(keeper)
    assert kept.purge_due(keeper) == 0
    end_time(keeper)
    assert [kept.purge_due(keeper) for _ in range(2)] == [1, 0]
    work = scenarios.run(keeper, FAILURE)
    assert (work.kind, work.action) == ("deprovision", "deprovision")
    with keeper.database.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET updated_at = now() - interval '1 hour'"))
    assert (kept.purge_due(keeper), janitor.retry_due(keeper)) == (0, 0)
    with keeper.database.engine.begin() as connection:
        connection.execute(text("UPDATE operations SET retry_at = now() WHERE retry_at IS NOT NULL"))
    assert janitor.retry_due(keeper) == 1
    assert scenarios.run(keeper).action == "deprovision"
    with keeper.database.unit() as unit:
        last = unit.last_operation("i1")
        assert last is not None
        assert (unit.instance("i1"), last.requested_by, last.state) == (None, "apb", "succeeded")
    assert scenarios.provision(keeper, "i1").connection["port"] == 31000


def test_instance_whose_removal_for_good_has_begun_is_not_restored(keeper: Broker) -> None:
    """Part of its data may be gone: also when it failed, and when another removal was canceled since."""
    kept_one(keeper)
    kept.purge(keeper, OPERATOR, "i1")
    with pytest.raises(errors.Busy):
        kept.restore(keeper, OPERATOR, "i1")
    scenarios.run(keeper, FAILURE)
    second = kept.purge(keeper, OPERATOR, "i1")["id"]
    interventions.cancel(keeper, OPERATOR, second)
    with pytest.raises(errors.Unsupported, match="has begun: it cannot be restored any more"):
        kept.restore(keeper, OPERATOR, "i1")
    interventions.retry(keeper, OPERATOR, second)
    scenarios.run(keeper)
    with pytest.raises(errors.NotFound):
        kept.restore(keeper, OPERATOR, "i1")


def test_removal_for_good_that_is_canceled_in_time_leaves_a_day_to_restore(keeper: Broker) -> None:
    """Nobody has touched the server yet, and the sweep leaves the operator time to think."""
    kept_one(keeper)
    end_time(keeper)
    kept.purge_due(keeper)
    with keeper.database.unit() as unit:
        queued = unit.last_operation("i1")
        assert queued is not None
    interventions.cancel(keeper, OPERATOR, queued.id)
    with keeper.database.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET updated_at = now() - interval '1 hour'"))
    assert kept.purge_due(keeper) == 0
    kept.restore(keeper, OPERATOR, "i1")
    scenarios.run(keeper)
    assert row(keeper).state == "ready"


def test_restore_and_the_end_of_the_time_at_the_same_moment(keeper: Broker) -> None:
    """One of the two wins, every time: restored with nothing queued behind it, or removed with the restore refused."""
    for number in range(20):
        instance_id = f"i{number}"
        scenarios.ready(keeper, instance_id)
        scenarios.deprovision(keeper, instance_id)
        scenarios.run(keeper)
        end_time(keeper)
        barrier = threading.Barrier(2)

        def restored(barrier: threading.Barrier = barrier, instance_id: str = instance_id) -> bool:
            barrier.wait()
            try:
                kept.restore(keeper, OPERATOR, instance_id)
            except errors.Busy:
                return False
            return True

        def purged(barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return bool(kept.purge_due(keeper))

        with ThreadPoolExecutor(2) as pool:
            outcome = [pool.submit(restored), pool.submit(purged)]
            won = [future.result() for future in outcome]
        assert sum(won) == 1
        assert scenarios.run(keeper).action == ("restore" if won[0] else "deprovision")
        assert operations.claim(keeper, "worker-1") is None
        if won[0]:
            kept_again = scenarios.deprovision(keeper, instance_id)
            assert kept_again.created
            scenarios.run(keeper)
            kept.purge(keeper, OPERATOR, instance_id)
            scenarios.run(keeper)


def test_purge_halts_a_restore(keeper: Broker) -> None:
    """Also one that comes to its end all the same: the removal goes on."""
    kept_one(keeper)
    kept.restore(keeper, OPERATOR, "i1")
    restoring = scenarios.claim(keeper)
    removal = kept.purge(keeper, OPERATOR, "i1")["id"]
    assert operations.renew(keeper, {restoring.operation_id: restoring.epoch}) == {restoring.operation_id: True}
    assert operations.finish(keeper, restoring.operation_id, restoring.epoch, scenarios.SUCCESS)
    with pytest.raises(errors.Gone):
        scenarios.deprovision(keeper)
    assert scenarios.run(keeper).operation_id == removal
    with keeper.database.unit() as unit:
        assert unit.instance("i1") is None


def test_deletion_asked_for_twice_stops_once(keeper: Broker) -> None:
    """The same operation while it goes on, gone after it."""
    scenarios.ready(keeper, "i1")
    first = scenarios.deprovision(keeper)
    assert scenarios.deprovision(keeper).operation_id == first.operation_id
    scenarios.run(keeper)
    assert operations.claim(keeper, "worker-1") is None
    with pytest.raises(errors.Gone):
        scenarios.deprovision(keeper)


def test_deletion_during_an_update_keeps_what_was_before_it(keeper: Broker) -> None:
    """The update is halted first; the restored server has the values of the last success, and reserves no more."""
    scenarios.ready(keeper, "i1", parameters={"memory": 1})
    scenarios.update(keeper, parameters={"memory": 3})
    updating = scenarios.claim(keeper)
    scenarios.deprovision(keeper)
    assert operations.claim(keeper, "worker-2") is None
    assert operations.finish(keeper, updating.operation_id, updating.epoch, Result("canceled"))
    assert scenarios.run(keeper).action == "stop"
    kept.restore(keeper, OPERATOR, "i1")
    assert scenarios.run(keeper).variables["apb_parameters"]["memory"] == 1
    with keeper.database.unit() as unit:
        assert unit.reserved("i1") == {0: 1}


@pytest.mark.parametrize("end", [FAILURE, Result("canceled")], ids=["failed", "canceled"])
def test_stop_that_did_not_succeed_is_asked_for_again(keeper: Broker, end: Result) -> None:
    """By the platform, or as a retry by the operator: each time the server is stopped and kept, never removed."""
    scenarios.ready(keeper, "i1")
    removal = scenarios.deprovision(keeper).operation_id or ""
    work = scenarios.claim(keeper)
    if end.status == "canceled":
        interventions.cancel(keeper, OPERATOR, removal)
    assert operations.finish(keeper, work.operation_id, work.epoch, end)
    assert operations.status(keeper, scenarios.ANN, "i1", None, removal)["state"] == "failed"
    interventions.retry(keeper, OPERATOR, removal)
    assert scenarios.run(keeper, FAILURE).action == "stop"
    assert scenarios.deprovision(keeper).created
    assert scenarios.run(keeper).action == "stop"
    assert row(keeper).state == "kept"


def test_server_that_cannot_be_stopped_is_removed_by_the_operator(keeper: Broker) -> None:
    """Purge is for what was deleted: kept, or not stopped; its platform need not ask again."""
    scenarios.ready(keeper, "i1")
    with pytest.raises(errors.Unsupported, match="was not deleted: deprovision it first"):
        kept.purge(keeper, OPERATOR, "i1")
    scenarios.deprovision(keeper)
    with pytest.raises(errors.Busy):
        kept.purge(keeper, OPERATOR, "i1")
    scenarios.run(keeper, FAILURE)
    kept.purge(keeper, OPERATOR, "i1")
    with pytest.raises(errors.Gone):
        scenarios.deprovision(keeper)
    assert scenarios.run(keeper, FAILURE).action == "deprovision"
    interventions.forget(keeper, OPERATOR, "i1")


@pytest.mark.parametrize("made", [False, True], ids=["in progress", "failed"])
def test_what_was_never_provisioned_is_removed_and_not_kept(keeper: Broker, made: bool) -> None:
    """There is nothing in it to keep."""
    scenarios.provision(keeper, "i1")
    if made:
        scenarios.run(keeper, FAILURE)
    scenarios.deprovision(keeper)
    assert scenarios.run(keeper).action == "deprovision"
    with keeper.database.unit() as unit:
        assert unit.instance("i1") is None


def test_nothing_is_kept_unless_the_operator_says_so(broker: Broker) -> None:
    """Platforms promise that what is deleted is gone."""
    scenarios.ready(broker, "i1")
    scenarios.deprovision(broker)
    assert scenarios.run(broker).action == "deprovision"
    with broker.database.unit() as unit:
        assert unit.instance("i1") is None


def test_operators_protection_holds_a_kept_instance_beyond_its_time(keeper: Broker) -> None:
    """Until it is taken back; the operator's own purge does not ask."""
    kept_one(keeper)
    interventions.protect(keeper, OPERATOR, "i1", protected=True)
    end_time(keeper)
    assert kept.purge_due(keeper) == 0
    with pytest.raises(errors.Conflict, match="kept until an operator takes its protection back"):
        scenarios.provision(keeper, "i1")
    interventions.protect(keeper, OPERATOR, "i1", protected=False)
    assert kept.purge_due(keeper) == 1


def test_operator_sees_what_is_kept_until_when(keeper: Broker) -> None:
    """And the log of the operation says what becomes of the server."""
    removal = kept_one(keeper) or ""
    ((shown,), _next) = views.instances(keeper, limit=2)
    assert (shown["state"], shown["purge_at"]) == ("kept", row(keeper).purge_at.isoformat())  # type: ignore[union-attr]
    lines = [line["text"] for line in views.log(keeper, removal, after=0, wait_seconds=0)["lines"]]
    assert lines == ["deprovision accepted", "the server is to be stopped, and kept for 604800 s", "succeeded"]
    with pytest.raises(errors.Unsupported, match="purge it first"):
        interventions.forget(keeper, OPERATOR, "i1")


def test_only_what_was_deleted_is_restored(keeper: Broker) -> None:
    """An instance in use is not touched."""
    scenarios.ready(keeper, "i1")
    with pytest.raises(errors.Unsupported, match="is ready: only what was deleted"):
        kept.restore(keeper, OPERATOR, "i1")
    scenarios.update(keeper, parameters={"memory": 2})
    with pytest.raises(errors.Busy):
        kept.restore(keeper, OPERATOR, "i1")


def test_shares_of_a_server_are_never_kept(make_broker: Callable[[str], Broker], tmp_path: Path) -> None:
    """apb.yml cannot ask for it."""
    config = boxes.write(tmp_path).replace("plan: box/part,", "plan: box/part, keep_deleted_seconds: 60,")
    with pytest.raises(Exception, match=r"offers\.3\.keep_deleted_seconds: only servers of their own \(mode host\)"):
        make_broker(config)


def test_workers_of_the_previous_release_cannot_run_what_keeps(keeper: Broker) -> None:
    """They would take it for a removal. What they do first with what was asked for fails, so they end the operation as failed."""

    def name_of_plan(asked: dict[str, Any]) -> Any:
        return asked.get("plan", {}).get("name", "the instance's own")  # lifecycle.variables.build of that release

    assert name_of_plan({}) == "the instance's own"
    scenarios.ready(keeper, "i1")
    for kind in ("deprovision", "provision"):
        if kind == "provision":
            kept.restore(keeper, OPERATOR, "i1")
        else:
            scenarios.deprovision(keeper)
        with keeper.database.unit() as unit:
            queued = unit.last_operation("i1")
            assert queued is not None
            with pytest.raises(AttributeError):
                name_of_plan(queued.request)
        scenarios.run(keeper)
