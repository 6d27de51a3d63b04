"""The faults: each is done to one operation at one moment. A function returns whether it really hit something.

`KINDS` is all of them, with the steps of an operation at which each makes sense, and whether the operation may fail by it.
"""

import contextlib
import random
import signal
import time
from dataclasses import dataclass
from typing import Any

import psutil

TAKEOVER_SECONDS = 45
SHORT_DEADLINE_SECONDS = 8
MB = b"\0" * (1 << 20)

ALWAYS = ("request", "accepted", "claimed", "started", "task", "published", "finished")
ACCEPTED = ALWAYS[1:]
CLAIMED = ALWAYS[2:]
RUNNING = ("started", "task")
ORDERED = ("own task",)  # that of the role which does what it is told, wherever in the action it is


@dataclass
class Moment:
    """An operation on the way, and who is at work on it. `operation` is None while its request is."""

    site: Any
    client: Any
    subject: Any
    action: str
    chance: random.Random
    operation: str | None = None

    def lines(self):
        return self.site.journal.lines(self.operation) if self.operation else []

    def worker(self):
        """The process of the worker that claimed it last, or of any while nobody has."""
        claimed = [line["worker"] for line in self.lines() if line["event"] == "claimed"]
        return process(claimed[-1] if claimed else self.chance.choice(self.site.workers).pid)

    def run(self):
        """The processes of the last run, from its supervisor down: supervisor, runner, playbook and all below, where they are."""
        supervisors = list(self.site.journal.supervisors(self.operation))
        found = [process(supervisors[-1])] if supervisors else []
        for _ in range(2):
            with contextlib.suppress(psutil.NoSuchProcess, StopIteration):
                found.append(
                    next(each for each in children(found[-1]) if len(found) == 1 or "ansible-playbook" in " ".join(each.cmdline()))
                )
        return [*found, *(below(found[2]) if len(found) == 3 else [])]

    def await_run(self, wanted):
        """The run once it has so many processes; None when it ends before."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            run = self.run()
            if not run or run[0] is None or not run[0].is_running() or run[0].status() == psutil.STATUS_ZOMBIE:
                return None
            if len(run) >= wanted:
                return run
            time.sleep(0.002)
        return None


def process(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid)
    return None


def children(parent):
    with contextlib.suppress(psutil.NoSuchProcess):
        return parent.children() if parent else []
    return []


def below(parent):
    with contextlib.suppress(psutil.NoSuchProcess):
        return parent.children(recursive=True)
    return []


def send(victim, number):
    """Whether there was somebody to get the signal."""
    try:
        victim.send_signal(number)
    except (psutil.NoSuchProcess, AttributeError):
        return False
    return True


# Processes of the broker


def kill_web_process(moment):
    served = children(process(moment.site.web.pid))
    return bool(served) and send(moment.chance.choice(served), signal.SIGKILL)


def kill_web(moment):
    return send(process(moment.site.web.pid), signal.SIGKILL)


def kill_worker(moment):
    return send(moment.worker(), signal.SIGKILL)


def kill_worker_and_runs(moment):
    """As when the machine's memory runs out: the runs first, the worker last."""
    worker = moment.worker()
    for each in below(worker) if worker else []:
        send(each, signal.SIGKILL)
    return send(worker, signal.SIGKILL)


def drain_worker(moment):
    return send(moment.worker(), signal.SIGTERM)


def stop_worker(moment):
    """It sleeps beyond its lease; another one takes over, or nobody needs to. Then it wakes up."""
    site = moment.site
    with site.one_at_a_time:
        worker = moment.worker()
        known = len(moment.lines())
        if not send(worker, signal.SIGSTOP):
            return False
        release(moment)
        try:
            moment.site.journal.wait(
                moment.operation,
                lambda lines: [line for line in lines[known:] if line["worker"] != worker.pid and line["event"] == "started"],
                is_over=lambda: not is_active(moment),
                seconds=TAKEOVER_SECONDS,
            )
        finally:
            send(worker, signal.SIGCONT)
    return True


def is_active(moment):
    (found,) = moment.site.sql("SELECT state FROM operations WHERE id = %s", moment.operation) or [("gone",)]
    return found[0] in ("queued", "running")


# Processes of a run


def kill_in_run(number):
    def kill(moment):
        run = moment.await_run(number + 1)
        return run is not None and send(run[number], signal.SIGKILL)

    return kill


def kill_task(moment):
    run = moment.await_run(4)
    return run is not None and send(moment.chance.choice(run[3:]), signal.SIGKILL)


def stop_in_run(number, longest_seconds):
    def stop(moment):
        run = moment.await_run(number + 1)
        if run is None or not send(run[number], signal.SIGSTOP):
            return False
        release(moment)
        time.sleep(moment.chance.uniform(0.2, longest_seconds))
        send(run[number], signal.SIGCONT)
        return True

    return stop


def warm_process(moment):
    """That of the worker that has claimed the operation."""
    served = children(moment.worker())
    return next((each for each in served if "apb_broker.execution.warm.zygote" in words_of(each)), None)


def words_of(each):
    with contextlib.suppress(psutil.NoSuchProcess):
        return each.cmdline()
    return []


def kill_warm_process(moment):
    return send(warm_process(moment), signal.SIGKILL)


def stop_warm_process(moment):
    """It sleeps for longer than it is waited for, or is killed asleep because it does not answer."""
    victim = warm_process(moment)
    if not send(victim, signal.SIGSTOP):
        return False
    release(moment)
    time.sleep(moment.chance.uniform(0.2, 5))
    send(victim, signal.SIGCONT)
    return True


# PostgreSQL


def kill_database(moment):
    with moment.site.database_lock:
        found = moment.site.database_processes()
        for each in found:
            send(each, signal.SIGKILL)
        psutil.wait_procs(found, timeout=10)
    return bool(found)


def restart_database(moment):
    with moment.site.database_lock:
        found = moment.site.database_processes()
        hit = bool(found) and send(found[0], signal.SIGINT)
        psutil.wait_procs(found, timeout=30)
    return hit


def cut_connections(moment):
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    return moment.site.sql(cut)[0][0] > 0


# Disks


def fill_disk(moment):
    """No run can write anything for a while."""
    site = moment.site
    filler = site.namespace.shared_memory / "filler"
    with site.one_at_a_time:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(MB)
        release(moment)
        time.sleep(moment.chance.uniform(0.5, 3))
        filler.unlink()
        site.full_until = time.monotonic()
    return True


# People


def cancel(moment):
    return moment.client.send("POST", f"/admin/v1/operations/{moment.operation}/cancel").status_code == 200


def delete(moment):
    method, path, options = moment.subject.request("deprovision")
    return moment.client.send(method, path, **options).status_code == 202


# Roles


def await_order(moment):
    begun = moment.subject.has_begun
    return moment.site.journal.wait(
        moment.operation, lambda _lines: begun(moment.action), is_over=lambda: not is_active(moment), seconds=60
    )


def cancel_deaf(moment):
    return await_order(moment) and cancel(moment)


def release(moment):
    """Workers that were held at a point go on."""
    for held in moment.site.holds.glob(f"{moment.subject.id}.{moment.action}.*"):
        held.unlink(missing_ok=True)


@dataclass
class Fault:
    """What is done, at which steps, whether the operation may fail by it, and what a role is told to do for it."""

    do: Any
    steps: tuple
    may_fail: bool = False
    behaviour: str | None = None
    # What a task with no_log failed of is hidden from the broker too, so that it cannot know that it may be run again.
    may_fail_hidden: bool = False


KINDS = {
    "web process killed": Fault(kill_web_process, ALWAYS),
    "web killed": Fault(kill_web, ALWAYS),
    "worker killed": Fault(kill_worker, ACCEPTED),
    "worker and runs killed": Fault(kill_worker_and_runs, CLAIMED),
    "worker told to stop": Fault(drain_worker, CLAIMED),
    "worker asleep": Fault(stop_worker, ("claimed", "started", "task", "published")),
    "supervisor killed": Fault(kill_in_run(0), RUNNING),
    "supervisor asleep": Fault(stop_in_run(0, 5), RUNNING),
    "runner killed": Fault(kill_in_run(1), RUNNING),
    "playbook killed": Fault(kill_in_run(2), RUNNING),
    "playbook asleep": Fault(stop_in_run(2, 3), RUNNING),
    "task killed": Fault(kill_task, RUNNING, may_fail_hidden=True),
    "warm process killed": Fault(kill_warm_process, ACCEPTED),
    "warm process asleep": Fault(stop_warm_process, ACCEPTED),
    "database killed": Fault(kill_database, ALWAYS),
    "database restarted": Fault(restart_database, ALWAYS),
    "connections cut": Fault(cut_connections, ALWAYS),
    "disk full": Fault(fill_disk, ("claimed", "started", "task")),
    "canceled": Fault(cancel, ACCEPTED, may_fail=True),
    "deleted": Fault(delete, ACCEPTED, may_fail=True),
    "role hangs": Fault(await_order, ORDERED, may_fail=True, behaviour="hang"),
    "role deaf to SIGTERM": Fault(cancel_deaf, ORDERED, may_fail=True, behaviour="deaf"),
    "role leaves a daemon": Fault(await_order, ORDERED, behaviour="daemon"),
    "role floods stdout": Fault(await_order, ORDERED, may_fail=True, behaviour="flood"),
}
OF_WARM = ("warm process killed", "warm process asleep")
OF_ROLES = tuple(kind for kind, fault in KINDS.items() if fault.behaviour)
OF_ALL = tuple(kind for kind in KINDS if kind not in OF_ROLES)
