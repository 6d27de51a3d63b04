"""What a Run promises whichever executor is below it: an outcome always comes, and then nothing is left."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from apb_broker import execution
from apb_broker.execution import processes
from apb_broker.execution import run as run_module


def runner_of(run) -> int:
    return next((pid for pid, parent in processes.parents().items() if parent == run.pid), 0)


def test_run_tells_success_with_what_was_published(scene, started, helpers):
    """A run that succeeds ends with its published values, no message, and no process or directory."""
    run = started(scene("succeeded"))
    assert helpers.outcome_of(run) == execution.Outcome("succeeded", published={"outputs": {"a": 1}})
    assert helpers.left_of(run.pid) == []
    assert run.read() == []


def test_run_tells_failure_with_secrets_masked(scene, started, helpers):
    """A run that fails says why, without the values the job calls secret."""
    outcome = helpers.outcome_of(started(scene("failed")))
    assert outcome.status == "failed"
    assert "with ********" in outcome.message
    assert "s3cr3t" not in outcome.message


def test_run_masks_secrets_in_progress(job, started, helpers):
    """A task's rendered name may hold a secret."""
    run = started(job(executor="scripted", settings={"scripted": {"progress": ["Set s3cr3t-canary"]}}, secrets=("s3cr3t-canary",)))
    assert helpers.messages_of(run)[0].text == "Set ********"


def test_run_ends_soon_when_canceled(scene, started, helpers):
    """Cancel ends a hanging run within its grace time and leaves nothing."""
    run = started(scene("hang"))
    helpers.until(lambda: any(isinstance(message, execution.Progress) for message in run.read()))
    run.cancel()
    began = time.monotonic()
    assert helpers.outcome_of(run).status == "canceled"
    assert time.monotonic() - began < 3
    assert helpers.left_of(run.pid) == []


def test_run_ends_when_canceled_at_once(scene, started, helpers):
    """A cancel that comes before the run has begun is heard too."""
    run = started(scene("hang"))
    run.cancel()
    assert helpers.outcome_of(run).status == "canceled"
    assert helpers.left_of(run.pid) == []


def test_run_fails_at_its_deadline(scene, started, helpers):
    """The deadline ends a run, and the message says so."""
    run = started(scene("hang", deadline_seconds=1.5))
    outcome = helpers.outcome_of(run)
    assert (outcome.status, outcome.message) == ("failed", "The run was ended: not finished within 1.5 s")
    assert helpers.left_of(run.pid) == []


@pytest.mark.parametrize("why", ["canceled", "overdue"])
def test_run_is_killed_when_its_supervisor_does_not_end_it(scene, started, helpers, monkeypatch, why):
    """A supervisor that is stopped for good neither hears a cancel nor sees the deadline: its worker ends both, it and the run."""
    monkeypatch.setattr(processes, "UNKILLABLE_SECONDS", 0.5)
    monkeypatch.setattr(run_module, "_CLOSE_SECONDS", 0.5)
    run = started(scene("hang", deadline_seconds=6 if why == "overdue" else 600))
    helpers.until(lambda: runner_of(run))
    os.kill(run.pid, signal.SIGSTOP)
    if why == "canceled":
        run.cancel()
    assert not run.kill_if_overdue()
    helpers.until(run.kill_if_overdue)
    assert helpers.outcome_of(run).status == "lost"
    assert helpers.left_of(run.pid) == []


def test_run_tells_of_many_tasks_the_first_thousand(job, started, helpers):
    """A role that loops over any number of tasks fills neither the worker's memory nor the database."""
    run = started(job(executor="scripted", settings={"scripted": {"progress": [f"Step {number}" for number in range(20_000)]}}))
    *told, outcome = helpers.messages_of(run)
    assert [message.text for message in told[:2]] == ["Step 0", "Step 1"]
    assert len(told) == 1000
    assert told[-1].text.startswith("What follows is not listed")
    assert outcome.status == "succeeded"


def test_run_is_lost_when_its_lease_is_not_renewed(scene, started, helpers):
    """A supervisor whose lease runs out ends its run by itself."""
    run = started(scene("hang", lease_seconds=4.0))
    outcome = helpers.outcome_of(run, renew=False)
    assert outcome.status == "lost"
    assert "lease" in outcome.message
    assert helpers.left_of(run.pid) == []


def test_run_goes_on_while_its_lease_is_renewed(scene, started, helpers):
    """Renewals carry a run beyond its first lease."""
    run = started(scene("hang", lease_seconds=4.0, deadline_seconds=6.0))
    assert helpers.outcome_of(run).status == "failed"


def test_run_counts_its_lease_from_when_the_renewal_was_sent(scene, started, helpers):
    """A renewal that took long counts from its start: one of long ago renews nothing."""
    run = started(scene("hang", lease_seconds=4.0))
    run.renew(processes.boot_clock() - 60)
    assert helpers.outcome_of(run, renew=False).status == "lost"


def test_run_is_not_begun_when_its_lease_is_over(scene, started, helpers):
    """Its worker slept after it had claimed the operation: another one has it by now."""
    run = started(scene("hang", lease_seconds=5.0), leased_at=processes.boot_clock() - 6)
    told = helpers.outcome_of(run, renew=False)
    assert (told.status, told.message) == ("lost", "The run was not begun: its lease had run out by then")


def test_run_is_lost_when_its_runner_is_killed(scene, started, helpers):
    """Nobody knows how far a killed runner came."""
    run = started(scene("hang"))
    helpers.until(lambda: any(isinstance(message, execution.Progress) for message in run.read()))
    os.kill(runner_of(run), signal.SIGKILL)
    assert helpers.outcome_of(run).status == "lost"
    assert helpers.left_of(run.pid) == []


def test_run_is_lost_when_its_supervisor_is_killed(scene, driven, helpers):
    """Without a supervisor the worker itself removes what is left, then tells: only a worker inherits and kills what dies by signals."""
    driver = driven(scene("hang"))
    driver.await_progress()
    os.kill(driver.run_pid, signal.SIGKILL)
    *_, outcome, left = driver.rest()
    assert (outcome["status"], left) == ("lost", {"left": []})
    assert helpers.left_of(driver.run_pid) == []


def test_run_leaves_nothing_when_closed_in_the_middle(scene, started, helpers):
    """Closing a run ends it."""
    run = started(scene("hang"))
    helpers.until(lambda: any(isinstance(message, execution.Progress) for message in run.read()))
    run.close()
    assert helpers.left_of(run.pid) == []
    assert not Path(f"/proc/{run.pid}").exists()


def test_run_leaves_nothing_when_its_worker_is_killed(scene, driven, helpers):
    """kill -9 of the worker ends its runs."""
    driver = driven(scene("hang"))
    helpers.until(lambda: helpers.left_of(driver.run_pid) and driver.run_pid in processes.parents().values())
    os.kill(driver.process.pid, signal.SIGKILL)
    helpers.until(lambda: not helpers.left_of(driver.run_pid))
    helpers.until(lambda: helpers.has_ended(driver.run_pid))


def test_run_frees_its_file_descriptors(job, started, helpers):
    """Runs leave no descriptor open in the worker."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with execution.start(job(executor="scripted")) as run:
            helpers.outcome_of(run)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_run_canceled_at_its_very_start_ends_at_once(job, started, helpers):
    """A cancel that is there before the runner is: its signal is not lost between the fork and the runner's own handlers."""
    for _ in range(10):
        run = started(job(executor="scripted", settings={"scripted": {"outcome": "hang"}}, cancel_grace_seconds=60.0))
        run.cancel()
        assert helpers.outcome_of(run).status == "canceled"


def test_run_is_killed_by_close_when_its_supervisor_hangs(job, helpers):
    """A stopped supervisor is not waited for longer than the grace time and five seconds."""
    run = execution.start(job(executor="scripted", settings={"scripted": {"outcome": "hang"}}, cancel_grace_seconds=-4.0))
    helpers.until(lambda: helpers.left_of(run.pid))
    os.kill(run.pid, signal.SIGSTOP)
    run.close()
    assert helpers.left_of(run.pid) == []


def test_runs_go_side_by_side(scene, started, helpers):
    """Runs at the same time do not meet: each tells its own outcome."""
    runs = [started(scene(outcome)) for outcome in ("succeeded", "failed", "succeeded")]
    assert [helpers.outcome_of(run).status for run in runs] == ["succeeded", "failed", "succeeded"]


def test_run_tells_an_unknown_executor_as_lost(job, started, helpers):
    """A broken executor is told, not hung on."""
    outcome = helpers.outcome_of(started(job(executor="nonesuch")))
    assert outcome.status == "lost"
    assert "nonesuch" in outcome.message


def test_script_can_come_as_a_parameter(job, started, helpers):
    """Tests steer the scripted executor by a tenant's parameter, too."""
    scripted = {"outcome": "failed", "message": "as told"}
    run = started(job(executor="scripted", variables={"apb_parameters": {"scripted": scripted}}))
    assert helpers.outcome_of(run).message == "as told"


def test_script_can_lose_its_run(job, started, helpers):
    """The scripted outcome `lost` is a runner that dies."""
    assert helpers.outcome_of(started(job(executor="scripted", settings={"scripted": {"outcome": "lost"}}))).status == "lost"


def test_script_says_what_is_different_for_one_action(job, started, helpers):
    """Provisioning fails and binding does not: what is said for an action wins, the rest holds for it too."""
    script = {"outcome": "failed", "message": "as told", "actions": {"bind": {"outcome": "succeeded"}}}
    outcomes = [started(job(executor="scripted", action=action, settings={"scripted": script})) for action in ("provision", "bind")]
    assert [helpers.outcome_of(run).status for run in outcomes] == ["failed", "succeeded"]


def test_script_fails_for_a_reason_that_may_pass(job, started, helpers):
    """`transient` is a failure that the broker tries again by itself."""
    outcome = helpers.outcome_of(started(job(executor="scripted", settings={"scripted": {"outcome": "transient"}})))
    assert (outcome.status, outcome.transient) == ("failed", True)


def test_script_draws_by_operation_and_epoch(job, started, helpers):
    """Weights make runs of one script end in different ways, and the same run always in the same."""
    settings = {"scripted": {"outcome": {"succeeded": 1, "failed": 1}, "seed": 7, "delay_seconds": [0, 0.01]}}

    def outcomes():
        runs = [started(job(executor="scripted", operation_id="o", epoch=epoch, settings=settings)) for epoch in range(8)]
        return [helpers.outcome_of(run).status for run in runs]

    first = outcomes()
    assert set(first) == {"succeeded", "failed"}
    assert outcomes() == first


def test_script_publishes_what_it_knows(job, started, helpers):
    """Credentials in the shape of the service's schema: texts with what the run knows in them, a port that stays a number."""
    variables = {
        "apb_instance": {"host": "192.0.2.1", "ports": {"client": 6379}},
        "apb_binding": {"username": "b1", "password": "p1-canary"},
    }
    published = {"credentials": {"port": "{port}", "uri": "redis://{username}:{password}@{host}:{port}", "kept": "{other}"}}
    run = started(job(executor="scripted", variables=variables, settings={"scripted": {"published": published}}))
    found = helpers.outcome_of(run).published["credentials"]
    assert found == {"port": 6379, "uri": "redis://b1:p1-canary@192.0.2.1:6379", "kept": "{other}"}


@pytest.mark.parametrize(("outcome", "recorded"), [("failed", "failed"), ("lost", "lost"), ("hang", "ended")])
def test_script_records_when_a_run_began_and_ended(job, started, helpers, tmp_path, outcome, recorded):
    """One line each, however it ends: by itself, by dying, or because it is told to."""
    file = tmp_path / "runs"
    run = started(job(executor="scripted", epoch=3, settings={"scripted": {"outcome": outcome, "record": str(file)}}))
    helpers.until(file.exists)
    if outcome == "hang":
        run.cancel()
    helpers.outcome_of(run)
    start, end = map(json.loads, file.read_text().splitlines())
    assert (start["event"], start["epoch"], end["event"], end["outcome"]) == ("start", 3, "end", recorded)
    assert start["at"] <= end["at"]


def test_start_refuses_threads(job):
    """The parent-death signal follows the thread that starts a run."""
    errors = []

    def start():
        try:
            execution.start(job(executor="scripted"))
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_start_removes_what_a_dead_supervisor_left(job, started, helpers, tmp_path, monkeypatch):
    """A directory whose lock nobody holds goes, with the processes that were started in it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    dead = tmp_path / "apb-run-1-dead0000"
    dead.mkdir()
    (dead / "lock").touch()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={"TMPDIR": f"{dead}/tmp"}) as left:
        helpers.until(lambda: helpers.processes_with(dead.name, ("environ",)))
        helpers.outcome_of(started(job(executor="scripted")))
        assert left.wait() == -signal.SIGKILL
    assert not dead.exists()


@pytest.mark.parametrize("payload", [1_000, 3_000_000])
def test_run_takes_and_tells_values_of_any_size(job, started, helpers, payload):
    """Neither a large job nor a large result gets stuck in a pipe."""
    value = "x" * payload
    run = started(job(executor="scripted", settings={"scripted": {"published": {"outputs": {"v": value}}}}))
    assert helpers.outcome_of(run).published == {"outputs": {"v": value}}
