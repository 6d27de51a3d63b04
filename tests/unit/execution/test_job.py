"""Jobs and messages survive their way through a pipe, and impossible jobs are refused before it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apb_broker.execution import job as jobs


def job(**fields) -> jobs.Job:
    defaults = {"operation_id": "o", "epoch": 1, "action": "bind", "playbook": "apb.catalog.bind", "variables": {}}
    return jobs.Job(**{**defaults, **fields})


def test_assignment_survives_the_pipe():
    """Line breaks and other letters included."""
    assignment = jobs.Assignment(job(variables={"a": "ä\n"}, secrets=("s\n1",)), 7, None, 1.5)
    line = jobs.encode_assignment(assignment)
    assert line.count(b"\n") == 1
    assert jobs.decode_assignment(line) == assignment


def test_supervisor_and_worker_of_two_releases_understand_each_other():
    """A new release is installed while an old worker runs: its supervisors are the new ones, its jobs lack what is new."""
    asked = json.loads(jobs.encode_assignment(jobs.Assignment(job(), 7, None)))
    del asked["job"]["limits"]
    assert jobs.decode_assignment(json.dumps(asked).encode()).job == job()
    assert "halted" not in json.loads(jobs.encode_message(jobs.Outcome("succeeded")))


@pytest.mark.parametrize(
    "message",
    [jobs.Progress("Start", "h", datetime.now(UTC)), jobs.Outcome("failed", {"outputs": {"a": 1}}, "why\nso", transient=True)],
)
def test_message_survives_the_pipe(message):
    """Progress and outcome come out as they went in."""
    assert jobs.decode_message(jobs.encode_message(message)) == message


def test_checked_makes_paths_absolute_and_keeps_names():
    """A collection's playbook is a name, a file is found from anywhere."""
    assert jobs.checked(job()).playbook == "apb.catalog.bind"
    made = jobs.checked(job(playbook="play.yml", inventory_file="hosts"))
    assert (made.playbook, made.inventory_file) == (str(Path("play.yml").absolute()), str(Path("hosts").absolute()))


@pytest.mark.parametrize("fields", [{"variables": {"a": {"__ansible_vault": ""}}}, {"inventory": {}, "inventory_file": "x"}])
def test_checked_refuses_jobs_that_cannot_be_run(fields):
    """Before any process is started."""
    with pytest.raises(jobs.JobError):
        jobs.checked(job(**fields))


def test_assignment_that_is_no_json_is_refused():
    """An operator's setting of a type that JSON lacks is named as a broken job."""
    with pytest.raises(jobs.JobError):
        jobs.encode_assignment(jobs.Assignment(job(settings={"a": {1, 2}}), 7, None))
