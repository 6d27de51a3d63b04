"""The queue and its rules on a real PostgreSQL: claim, lease, epoch, sweep, deadline, cancel."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from apb_broker.lifecycle import errors, operations, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from apb_broker.storage import queue
from apb_broker.storage.migrate import migrate
from tests import scenarios


def age(broker: Broker, column: str, seconds: float) -> None:
    """Moves a time of all operations back, as if it had passed."""
    with broker.database.engine.begin() as connection:
        connection.execute(text(f"UPDATE operations SET {column} = {column} - make_interval(secs => :s)"), {"s": seconds})


def lose_lease(broker: Broker) -> None:
    """As if the owner had been silent beyond lease and grace."""
    age(broker, "lease_until", broker.settings.lease_seconds + broker.settings.grace_seconds + 1)


def test_claim_gives_an_operation_to_one_worker_only(broker: Broker) -> None:
    """Eight workers claim at once; each of three operations has one owner."""
    accepted = {scenarios.provision(broker, f"i{number}").operation_id for number in range(3)}
    claimed: list[str] = []
    barrier = threading.Barrier(8)

    def work(owner: str) -> None:
        barrier.wait()
        found = operations.claim(broker, owner)
        if found is not None:
            claimed.append(found.operation_id)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed))
    while (more := operations.claim(broker, "last")) is not None:  # a locked candidate is skipped, not waited for
        claimed.append(more.operation_id)
    assert set(claimed) == accepted


def test_claim_raises_the_epoch_across_all_operations(broker: Broker) -> None:
    """A later operation on the same instance has a higher epoch, so that its role run wins on the host."""
    first = scenarios.provision(broker)
    one = scenarios.run(broker)
    scenarios.deprovision(broker)
    two = scenarios.run(broker)
    assert first.operation_id == one.operation_id
    assert two.epoch > one.epoch


def test_epoch_is_ahead_of_what_hosts_saw_before_a_restore(broker: Broker, database_url: str) -> None:
    """An older copy of the database counts from an older number; migrating at start brings it past every run there was."""
    scenarios.provision(broker)
    seen = scenarios.run(broker).epoch
    with broker.database.engine.begin() as connection:
        connection.execute(text("SELECT setval('operation_epoch', 1)"))
    migrate(database_url)
    scenarios.deprovision(broker)
    assert scenarios.run(broker).epoch > seen


def test_finish_is_refused_for_an_owner_that_was_given_up(broker: Broker) -> None:
    """After a sweep and a second claim the first owner can write neither log nor end."""
    accepted = scenarios.provision(broker)
    lost = scenarios.claim(broker, "worker-1")
    lose_lease(broker)
    assert operations.sweep(broker) == 1
    age(broker, "due_at", 60)
    taken_over = scenarios.claim(broker, "worker-2")
    assert (taken_over.operation_id, taken_over.epoch > lost.epoch) == (lost.operation_id, True)
    operations.report(broker, lost.operation_id, lost.epoch, ["a stray line"])
    assert not operations.finish(broker, lost.operation_id, lost.epoch, Result("failed", message="stray"), ["a stray end"])
    assert operations.renew(broker, {lost.operation_id: lost.epoch}) == {}
    assert scenarios.state(broker, accepted.operation_id) == "running"
    assert operations.finish(broker, taken_over.operation_id, taken_over.epoch, scenarios.SUCCESS)
    assert operations.status(broker, scenarios.ANN, "i1", None, None)["state"] == "succeeded"
    assert not [line for line in lines_of(broker, accepted.operation_id) if "stray" in line]


def test_finish_adds_what_was_not_told_yet(broker: Broker) -> None:
    """The last lines of a run come with its end, before it and in their order."""
    accepted = scenarios.provision(broker)
    work = scenarios.claim(broker)
    operations.report(broker, work.operation_id, work.epoch, ["one", "two"])
    assert operations.finish(broker, work.operation_id, work.epoch, scenarios.SUCCESS, ["three", "four"])
    assert lines_of(broker, accepted.operation_id)[-5:] == ["one", "two", "three", "four", "succeeded"]


def lines_of(broker: Broker, operation_id: str) -> list[str]:
    """Its log."""
    return [line["text"] for line in views.log(broker, operation_id, after=0, wait_seconds=0)["lines"]]


def test_sweep_leaves_an_operation_whose_lease_is_renewed(broker: Broker) -> None:
    """A renewed lease is not lost, however long the run takes."""
    scenarios.provision(broker)
    work = scenarios.claim(broker)
    lose_lease(broker)
    assert operations.renew(broker, {work.operation_id: work.epoch}) == {work.operation_id: False}
    assert operations.sweep(broker) == 0


def test_sweep_gives_up_after_bounded_attempts(broker: Broker) -> None:
    """An operation whose workers are lost again and again ends failed, and can be removed."""
    accepted = scenarios.provision(broker)
    for _ in range(broker.settings.max_attempts):
        age(broker, "due_at", 120)
        scenarios.claim(broker)
        lose_lease(broker)
        operations.sweep(broker)
    assert scenarios.state(broker, accepted.operation_id) == "failed"
    assert scenarios.deprovision(broker).created


def test_sweep_ends_what_no_worker_took_before_its_deadline(broker: Broker) -> None:
    """Every 202 reaches an end, even without a worker."""
    accepted = scenarios.provision(broker)
    age(broker, "deadline_at", broker.settings.operation_deadline_seconds + 1)
    assert operations.claim(broker, "late") is None
    assert operations.sweep(broker) == 1
    assert scenarios.state(broker, accepted.operation_id) == "failed"
    assert "worker" in operations.status(broker, scenarios.ANN, "i1", None, None)["description"]


def test_lost_run_is_tried_again_after_a_back_off(broker: Broker) -> None:
    """A run of unknown outcome is queued again, not at once."""
    accepted = scenarios.provision(broker)
    work = scenarios.claim(broker)
    assert operations.finish(broker, work.operation_id, work.epoch, Result("lost"))
    assert scenarios.state(broker, accepted.operation_id) == "queued"
    assert operations.claim(broker, "worker-1") is None
    age(broker, "due_at", 120)
    assert scenarios.claim(broker).operation_id == accepted.operation_id


def test_operation_that_cannot_be_run_does_not_stop_the_queue(broker: Broker) -> None:
    """A row that no release of ours can read ends failed; what was queued behind it is claimed."""
    broken = scenarios.provision(broker, "i1")
    good = scenarios.provision(broker, "i2")
    with broker.database.unit() as unit:
        row = unit.instance("i1")
        assert row is not None
        row.plan_snapshot = {"from": "another world"}
    assert scenarios.claim(broker).operation_id == good.operation_id
    assert scenarios.state(broker, broken.operation_id) == "failed"


def test_failed_run_is_final(broker: Broker) -> None:
    """A role that failed is not run again by itself; its message is the operation's."""
    scenarios.provision(broker)
    scenarios.run(broker, Result("failed", message="the disk is full"))
    assert operations.status(broker, scenarios.ANN, "i1", None, None) == {
        "kind": "provision",
        "state": "failed",
        "description": "the disk is full",
    }


def test_unreachable_host_is_tried_again(broker: Broker) -> None:
    """A host that could not be reached is worth another try."""
    accepted = scenarios.provision(broker)
    scenarios.run(broker, Result("failed", message="localhost is unreachable", transient=True))
    assert scenarios.state(broker, accepted.operation_id) == "queued"


def test_deprovision_ends_a_provision_nobody_began(broker: Broker) -> None:
    """A queued provision fails at once and the removal is run next."""
    creation = scenarios.provision(broker)
    removal = scenarios.deprovision(broker)
    assert scenarios.state(broker, creation.operation_id) == "failed"
    assert scenarios.run(broker).operation_id == removal.operation_id
    with broker.database.unit() as unit:
        assert unit.instance("i1") is None


def test_deprovision_waits_until_a_running_provision_is_halted(broker: Broker) -> None:
    """The owner is asked to cancel; only after its end is the removal claimed."""
    creation = scenarios.provision(broker)
    work = scenarios.claim(broker)
    removal = scenarios.deprovision(broker)
    assert operations.claim(broker, "worker-2") is None
    assert operations.renew(broker, {work.operation_id: work.epoch}) == {work.operation_id: True}
    assert operations.finish(broker, work.operation_id, work.epoch, Result("canceled"))
    assert operations.status(broker, scenarios.ANN, "i1", None, creation.operation_id)["state"] == "failed"
    assert scenarios.run(broker).operation_id == removal.operation_id


def test_deprovision_after_the_worker_of_a_provision_was_lost(broker: Broker) -> None:
    """A cancel that no owner will answer is answered by the sweep: the provision is not run again."""
    creation = scenarios.provision(broker)
    scenarios.claim(broker)
    removal = scenarios.deprovision(broker)
    lose_lease(broker)
    operations.sweep(broker)
    assert scenarios.state(broker, creation.operation_id) == "failed"
    assert scenarios.run(broker).operation_id == removal.operation_id


def test_run_canceled_by_its_own_worker_is_handed_back(broker: Broker) -> None:
    """A worker that stops gives its operation back at no attempt's cost; another can claim it at once."""
    scenarios.provision(broker)
    work = scenarios.claim(broker)
    assert operations.finish(broker, work.operation_id, work.epoch, Result("canceled"))
    again = scenarios.claim(broker, "worker-2")
    assert again.operation_id == work.operation_id
    with broker.database.unit() as unit:
        row = unit.operation(again.operation_id)
        assert row is not None
        assert row.attempt == 1


def test_end_forgets_what_was_asked_for(broker: Broker) -> None:
    """The request of an ended operation, which may hold a tenant's password, is not kept."""
    accepted = scenarios.provision(broker, parameters={"password": "tenants-own-secret"})
    scenarios.run(broker)
    with broker.database.unit() as unit:
        row = unit.operation(accepted.operation_id or "")
        assert row is not None
        assert row.request_sealed is None
        assert row.finished_at is not None
        assert row.finished_at - datetime.now(UTC) < timedelta(seconds=5)


def test_concurrent_provisions_of_one_id_are_one_operation(broker: Broker) -> None:
    """Eight identical requests at once start one operation; every answer names it."""
    answers: list[str | None] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        answers.append(scenarios.provision(broker).operation_id)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1


def test_provision_without_a_free_port_is_refused_before_acceptance(broker: Broker) -> None:
    """The sixth instance on five ports gets NoCapacity and leaves no row behind."""
    for number in range(5):
        scenarios.provision(broker, f"i{number}")
    with pytest.raises(errors.NoCapacity, match="port"):
        scenarios.provision(broker, "i5")
    with broker.database.unit() as unit:
        assert unit.instance("i5") is None


def test_deprovision_gives_the_port_back(broker: Broker) -> None:
    """A removed instance's port can be given again."""
    for number in range(5):
        scenarios.ready(broker, f"i{number}")
    scenarios.deprovision(broker, "i2")
    scenarios.run(broker)
    assert scenarios.provision(broker, "i9").connection["port"] == 31002


def test_update_that_fails_changes_nothing_stored(broker: Broker) -> None:
    """OSB 2.17 Updating: on failure the broker must not apply any change."""
    instance_id = scenarios.ready(broker, parameters={"memory": 0.5})
    scenarios.update(broker, instance_id, parameters={"memory": 2})
    scenarios.run(broker, Result("failed", message="no"))
    with broker.database.unit() as unit:
        row = unit.instance(instance_id)
        assert row is not None
        assert (row.parameters["memory"], row.state) == (0.5, "ready")


def test_names_are_unique_per_space_for_our_own_client(broker: Broker) -> None:
    """Two instances of one name in one space are refused; in another space they are not."""
    context = {"platform": "apb", "instance_name": "cache"}
    scenarios.provision(broker, "i1", context=context)
    with pytest.raises(errors.Conflict, match="cache"):
        scenarios.provision(broker, "i2", context=context)
    assert scenarios.provision(broker, "i3", context=context, space="other").created


def test_binding_whose_credentials_lack_a_field_is_not_handed_out(broker: Broker) -> None:
    """Credentials are checked against the service's schema before they are kept; the account is removed again."""
    instance_id = scenarios.ready(broker)
    accepted = scenarios.bind(broker, instance_id)
    scenarios.run(broker, Result("succeeded", {"credentials": {"host": "127.0.0.1"}}))
    assert scenarios.state(broker, accepted.operation_id) == "failed"
    assert scenarios.run(broker).kind == "unbind"
    with pytest.raises(errors.Gone):
        scenarios.unbind(broker, instance_id)


def test_sealed_values_of_one_row_do_not_open_in_another(broker: Broker) -> None:
    """The place of a value is part of what is sealed: a copied column is refused."""
    from apb_broker.storage.errors import WrongKey

    one, two = scenarios.ready(broker), scenarios.ready(broker)
    with broker.database.engine.begin() as connection:
        statement = "UPDATE instances SET secrets_sealed = (SELECT secrets_sealed FROM instances WHERE id = :one) WHERE id = :two"
        connection.execute(text(statement), {"one": one, "two": two})
    with broker.database.unit() as unit, pytest.raises(WrongKey):
        row = unit.instance(two)
        assert row is not None
        _ = row.secrets


def test_database_holds_no_secret_in_clear(broker: Broker) -> None:
    """Parameters marked sensitive, generated passwords and credentials are nowhere readable in the tables."""
    instance_id = scenarios.ready(broker, parameters={"password": "canary-of-the-tenant"})
    scenarios.bind(broker, instance_id)
    scenarios.run(broker, scenarios.BOUND)
    with broker.database.unit() as unit:
        row = unit.instance(instance_id)
        assert row is not None
        wanted = ["canary-of-the-tenant", row.secrets["admin_password"], scenarios.CREDENTIALS["password"]]
    with broker.database.engine.begin() as connection:
        tables = ("instances", "bindings", "operations", "progress", "allocations")
        dump = "".join(str(connection.execute(text(f"SELECT {t}::text FROM {t}")).all()) for t in tables)
    assert instance_id in dump
    assert not [secret for secret in wanted if str(secret) in dump]


def test_what_a_worker_could_not_do_is_left_to_others_first(broker: Broker) -> None:
    """They may have a way to the host where it has none; without others it takes it a little later itself."""
    accepted = scenarios.provision(broker)
    scenarios.run(broker, Result("failed", message="the host does not answer", transient=True))
    age(broker, "due_at", operations.RETRY_SECONDS[0])
    left = [accepted.operation_id or ""]
    assert operations.claim(broker, "cut-off", left) is None
    age(broker, "due_at", queue.LEFT_SECONDS)
    assert operations.claim(broker, "alone", left) is not None
