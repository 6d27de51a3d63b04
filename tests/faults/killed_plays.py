"""Playbooks that are killed at a chosen point, with everything they started, as when a machine's memory runs out.

A point is a task and a share of its time; how long tasks take is learnt from a run that nobody disturbs.
"""

import contextlib
import re
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field

import psutil

from tests.integration.collection.conftest import Host

MARK = "APB_TEST_RUN"  # in the environment of everything that ansible-playbook starts
PLAY_SECONDS = 180


@dataclass
class Outcome:
    """How a playbook went, and when each of its tasks began (seconds since its start, and its end as the last)."""

    code: int
    text: str
    times: list

    @property
    def changed(self):
        return sum(int(found) for found in re.findall(r"changed=(\d+)", self.text))


@dataclass
class Point:
    """When to kill: this much of the way through the tasks, from 0 to 1, as it was in a run that nobody disturbed."""

    share: float
    times: list

    @property
    def task(self):
        return min(int(self.share * (len(self.times) - 1)), len(self.times) - 2)

    def delay_seconds(self, elapsed_seconds):
        """How long after the task began, in a run that may be slower than the other was.

        Most of a task's time goes by before it does anything: later points are likelier.
        """
        fraction = self.share * (len(self.times) - 1) - self.task
        slowness = elapsed_seconds / self.times[self.task]
        return fraction**0.5 * (self.times[self.task + 1] - self.times[self.task]) * slowness


@dataclass
class KillingHost(Host):
    """A host whose next run is killed when there is a point for it."""

    point: Point | None = None
    kills: list = field(default_factory=list)

    def play(self, playbook, variables, *, arguments=()):
        mark = uuid.uuid4().hex
        point, self.point = self.point, None
        with self.command(playbook, variables, arguments) as (command, options):
            options["env"] |= {MARK: mark, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "PYTHONUNBUFFERED": "1"}
            began = time.monotonic()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options)
            overdue = threading.Timer(PLAY_SECONDS, kill, (process, mark))
            overdue.start()
            lines, times = [], []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("TASK ["):
                    times.append(time.monotonic() - began)
                    if point and len(times) == point.task + 1:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.wait(point.delay_seconds(times[-1]))
                        kill(process, mark)
                        self.kills.append(line.strip())
            process.stdout.close()
            times.append(time.monotonic() - began)
            overdue.cancel()
            return Outcome(process.wait(), "".join(lines), times)


def kill(process, mark):
    """SIGKILL to ansible-playbook, then to whatever it started, wherever that went."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(process.pid).kill()
    while found := [other for other in psutil.process_iter(["environ"]) if (other.info["environ"] or {}).get(MARK) == mark]:
        for other in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()
        if all(other.status() == psutil.STATUS_ZOMBIE for other in found if other.is_running()):
            return
