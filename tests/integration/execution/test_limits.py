"""What one run may take: whatever a role does, its run is ended with a sentence, and the worker goes on.

Each role here would go on for minutes; nothing of it may be left when its outcome is told.
"""

import json
import os
import resource
import sys
import time

import pytest

from apb_broker import execution

FORKS = "import os, time\nend = time.time() + 60\nwhile time.time() < end: os.fork()"
ALLOCATES = "import os, time\nfor _ in range(3): os.fork()\nheld = bytearray(b'1' * (200 << 20))\ntime.sleep(60)"
SHOWS = "import json, os, resource as r; print(json.dumps([r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in {!r}]), os.umask(0))"
KINDS = ("CORE", "NOFILE", "DATA", "FSIZE", "CPU", "NPROC")


def command(code: str) -> dict:
    return {"name": "Do it", "ansible.builtin.command": {"argv": [sys.executable, "-c", code]}}


def publishes(**values) -> dict:
    return {"name": "Tell", "ansible.builtin.set_stats": {"per_host": False, "data": {"apb_published": values}}}


@pytest.mark.parametrize(
    ("code", "limits", "said"),
    [
        (FORKS, {"processes": 100}, "processes, settings.run_limits.processes in apb.yml allows 100"),
        (ALLOCATES, {"memory_gb": 0.7}, "GB of memory, settings.run_limits.memory_gb in apb.yml allows 0.7"),
    ],
    ids=["forks", "allocates"],
)
def test_run_that_takes_too_much_is_ended_at_once(code, limits, said, playbook, job, started, helpers):
    """Forking and allocating without end: no grace, since each moment of it would make things worse."""
    run = started(job(playbook(command(code)), limits=execution.Limits(**limits), cancel_grace_seconds=60.0))
    began = time.monotonic()
    outcome = helpers.outcome_of(run)
    assert time.monotonic() - began < 30
    assert outcome.status == "failed"
    assert outcome.message.startswith("The run was ended: ")
    assert said in outcome.message
    assert helpers.left_of(run.pid) == []


ENDLESS = {
    "of a shell": {"ansible.builtin.shell": "exec yes > {0}/endless"},
    "of a module": {"ansible.builtin.copy": {"content": "{{ 'x' * 30000000 }}", "dest": "{0}/endless"}},
}


@pytest.mark.parametrize("what", ENDLESS)
def test_file_without_end_fails_its_task(what, playbook, job, started, helpers, tmp_path):
    """The kernel ends what writes it, and the operator reads what to raise if the file was to be as large."""
    task = json.loads(json.dumps(ENDLESS[what]).replace("{0}", str(tmp_path)))
    run = started(job(playbook({"name": "Do it", **task}), limits=execution.Limits(file_gb=0.02)))
    outcome = helpers.outcome_of(run)
    assert outcome.status == "failed"
    assert outcome.message.startswith("Task 'Do it' failed: ")
    assert outcome.message.endswith("(more than file_gb of settings.run_limits in apb.yml allows)")
    assert all(file.stat().st_size <= 0.02 * 2**30 for file in tmp_path.glob("endless"))


def test_flood_of_output_does_not_reach_the_worker(playbook, job, started, helpers):
    """200 MB on stdout are read below the supervisor; what the worker hears is how that ended, within the run's time."""
    flood = command("import sys\nfor _ in range(200): sys.stdout.write('x' * (1 << 20) + chr(10))")
    run = started(job(playbook(flood), deadline_seconds=8.0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = helpers.outcome_of(run)
    assert (outcome.status, outcome.message) == ("failed", "The run was ended: not finished within 8 s")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KB
    assert helpers.left_of(run.pid) == []


def test_limits_are_inherited_by_modules_and_not_by_the_worker(playbook, job, started, helpers):
    """The kernel holds whatever a task starts; core dumps, files of secrets, are never written, and new files are private."""
    ours = [resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")) for kind in KINDS]
    limits = execution.Limits(processes=100, open_files=300, memory_gb=0.7, file_gb=0.02)
    tasks = [command(SHOWS.format(KINDS)) | {"register": "said"}, publishes(outputs={"said": "{{ said.stdout }}"})]
    outcome = helpers.outcome_of(started(job(playbook(*tasks), limits=limits, deadline_seconds=60.0)))
    found, umask = outcome.published["outputs"]["said"].rsplit(" ", 1)
    core, files, data, size, cpu, processes = json.loads(found)
    assert (core, files, data, size) == ([0, 0], [300, 300], [int(0.7 * 2**30)] * 2, [int(0.02 * 2**30)] * 2)
    assert 60 <= cpu[0] <= 60 * 1024
    assert os.getuid() == 0 or processes[0] > 200
    assert int(umask) == 0o077
    assert [resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")) for kind in KINDS] == ours
