"""Jobs, playbooks and views of /proc for the tests of runs."""

import dataclasses
import json
import os
import selectors
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import yaml

from apb_broker import execution
from apb_broker.execution import processes

DRIVER = Path(__file__).with_name("driver.py")

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN); time.sleep(600)"
)
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execve(sys.executable, [sys.executable, "-c", sys.argv[2], sys.argv[1]], {} if sys.argv[3:] else os.environ)
    os._exit(0)
os.wait()
"""


class Marked:
    """A mark that stands on the command lines of a test's processes, tasks that carry it, and what is left of them."""

    def __init__(self) -> None:
        self.text = f"mark-{uuid.uuid4().hex}"

    def python(self, script: str, *arguments: str, **task) -> dict:
        """A task that runs a Python script in a process of its own."""
        return {"name": "Run it", "ansible.builtin.command": {"argv": [sys.executable, "-c", script, self.text, *arguments]}, **task}

    def sleeps(self) -> dict:
        """A task that does not end in a test's time."""
        return self.python("import time; time.sleep(600)")

    def daemon(self, *flags: str) -> dict:
        """A task that succeeds and leaves a daemon of its own session which ignores SIGTERM; with a flag, one with an empty environment."""
        return self.python(DAEMON, STUBBORN, *flags)

    def pids(self) -> list[int]:
        """The marked processes that are left."""
        return processes_with(self.text, ("cmdline",))


def processes_with(text: str, places=("cmdline", "environ")) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if any(text.encode() in (entry / place).read_bytes() for place in places):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def left_of(run_pid: int) -> list:
    """Processes and directories of a run."""
    return processes_with(f"apb-run-{run_pid}-") + list(Path("/dev/shm").glob(f"apb-run-{run_pid}-*"))


def has_ended(pid: int) -> bool:
    """Whether nothing is left of it but a status that nobody has asked for: with a warm process the tests themselves inherit orphans."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True
    return stat[stat.rindex(b")") + 2 :].startswith(b"Z")


def until(condition, seconds: float = 20):
    """What the condition gives, once that is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
    return value


def messages_of(run, *, renew: bool = True, seconds: float = 30) -> list:
    """All messages of a run up to its outcome."""
    found, end = [], time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(run, selectors.EVENT_READ)
        while not (found and isinstance(found[-1], execution.Outcome)):
            assert time.monotonic() < end, "no outcome came in time"
            selector.select(0.1)
            if renew:
                run.renew()
            found += run.read()
    return found


def outcome_of(run, **options):
    return messages_of(run, **options)[-1]


class Driver:
    """A worker process of the tests."""

    def __init__(self, job: execution.Job) -> None:
        self.process = subprocess.Popen([sys.executable, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(json.dumps(dataclasses.asdict(job)).encode())
        self.process.stdin.close()
        self.run_pid = json.loads(self.process.stdout.readline())["pid"]

    def await_progress(self) -> None:
        """Until its run has begun a task."""
        while "text" not in json.loads(self.process.stdout.readline()):
            pass

    def rest(self) -> list[dict]:
        """All that it still tells, up to its end."""
        return [json.loads(line) for line in self.process.stdout]

    def close(self) -> None:
        """Kill it, if it is still there."""
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def marked():
    return Marked()


@pytest.fixture
def helpers():
    """The functions of this file, which importlib mode keeps from being imported."""

    class Helpers:
        pass

    for function in (has_ended, processes_with, left_of, until, messages_of, outcome_of):
        setattr(Helpers, function.__name__, staticmethod(function))
    Helpers.stubborn = STUBBORN
    return Helpers


@pytest.fixture
def playbook(tmp_path):
    """A playbook of the given tasks on localhost."""

    def write(*tasks: dict, **play) -> str:
        path = tmp_path / f"{uuid.uuid4().hex}.yml"
        path.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks), **play}]))
        return str(path)

    return write


@pytest.fixture
def job():
    """A job with short times; fields by name."""

    def make(playbook: str = "none", **fields) -> execution.Job:
        defaults = {"operation_id": "op-1", "epoch": 1, "action": "provision", "variables": {}, "cancel_grace_seconds": 3.0}
        return execution.Job(playbook=playbook, **{**defaults, **fields})

    return make


@pytest.fixture
def started():
    """Start runs that are closed, whatever happens."""
    runs = []

    def start(job, **options):
        if job.executor == "warm":
            until(lambda: execution.keep_warm().is_ready)
        runs.append(execution.start(job, **options))
        assert not runs[-1].why_cold
        return runs[-1]

    yield start
    for run in runs:
        run.close()


@pytest.fixture
def driven():
    """Start runs below a worker process of their own."""
    drivers = []

    def drive(job):
        drivers.append(Driver(job))
        return drivers[-1]

    yield drive
    for driver in drivers:
        driver.close()


@pytest.fixture(scope="module", autouse=True)
def warm():
    """The warm process, if any test has asked for it, ends with the tests of a file, and with it that this process inherits orphans.

    It would inherit those of all later tests, which wait for the end of processes whose status nobody asks for.
    """
    yield
    execution.end_warm()
    processes.adopt_orphans(adopt=False)


@pytest.fixture(params=["warm", "cold", "scripted"])
def scene(request, job, playbook, marked):
    """A job of any executor that succeeds, fails or hangs: what a Run does is the same for all."""
    tasks = {
        "succeeded": {"name": "Tell", "ansible.builtin.set_stats": {"per_host": False, "data": {"apb_published": {"outputs": {"a": 1}}}}},
        "failed": {"name": "Fail", "ansible.builtin.fail": {"msg": "with s3cr3t-canary"}},
        "hang": marked.sleeps(),
    }
    scripts = {"published": {"outputs": {"a": 1}}, "message": "with s3cr3t-canary", "progress": ["Run it"]}

    def make(outcome: str, **fields):
        settings = {"scripted": {**scripts, "outcome": outcome}}
        return job(playbook(tasks[outcome]), executor=request.param, settings=settings, secrets=("s3cr3t-canary",), **fields)

    return make
