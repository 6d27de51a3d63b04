"""The bare playbook, as somebody without the broker would run it: `ansible-playbook`, and every module sent as Ansible sends modules.

It is given what a run of the broker is given: the same variables, inventory and environment, so that the same tasks run. What the
variables are the broker's own rules say, in this process, on a place where no worker is.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apb_broker.catalog import config
from apb_broker.catalog.catalog import Catalog
from apb_broker.execution import environment, unsafe
from apb_broker.execution.executors import cold
from apb_broker.execution.job import Job
from apb_broker.lifecycle import bindings, instances, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from apb_broker.lifecycle.requests import Bind, Caller, Deprovision, Provision, Unbind
from apb_broker.storage.database import Database
from apb_broker.storage.sealing import Keyring
from apb_broker.worker import jobs
from bench import place

CALLER = Caller("admin", "bench")
PUBLISHED = "apb_published"
Watch = Callable[[int], None]
"""Called with the process when it has begun; returns when that has ended, or before."""


@dataclass(frozen=True)
class Ran:
    """One run: seconds on the clock, seconds of the processors with all that it started, and what it published."""

    wall: float
    cpu: float
    published: dict[str, Any]


def ignore(_pid: int) -> None:
    """Nobody watches."""


class Bare:
    """Actions on instances of a place, each by its playbook."""

    def __init__(self, here: place.Place) -> None:
        loaded = config.load(here.state.config_file)
        database = Database(here.url, Keyring.load(here.state.key_file))
        database.admit()
        self._broker = Broker(database, Catalog.load(loaded), loaded.settings)

    def close(self) -> None:
        """Gives the connections back."""
        self._broker.database.close()

    def carry_out(
        self,
        action: str,
        ids: dict[str, str],
        instance: str,
        binding: str = "",
        *,
        parameters: dict[str, Any] | None = None,
        watch: Watch = ignore,
    ) -> Ran:
        """Has it accepted, runs its playbook, and keeps what came of it. Raises RuntimeError when it fails."""
        self._accept(action, ids, instance, binding, parameters or {})
        work = operations.claim(self._broker, "bench")
        if work is None:
            raise RuntimeError(f"{action} was accepted and cannot be claimed")
        ran = run(jobs.build(self._broker, work), watch)
        operations.finish(self._broker, work.operation_id, work.epoch, Result("succeeded", ran.published))
        return ran

    def _accept(self, action: str, ids: dict[str, str], instance: str, binding: str, parameters: dict[str, Any]) -> None:
        match action:
            case "provision":
                owner = {"organization": "org", "space": "space", "caller": CALLER, "accepts_incomplete": True}
                instances.provision(self._broker, Provision(instance_id=instance, parameters=parameters, **ids, **owner))  # type: ignore[arg-type]
            case "bind":
                bindings.bind(self._broker, Bind(caller=CALLER, instance_id=instance, binding_id=binding, **ids))  # type: ignore[arg-type]
            case "unbind":
                bindings.unbind(self._broker, Unbind(CALLER, instance, binding))
            case _:
                instances.deprovision(self._broker, Deprovision(CALLER, instance, accepts_incomplete=True))


def run(job: Job, watch: Watch = ignore) -> Ran:
    """The job's playbook by itself."""
    with tempfile.TemporaryDirectory(prefix="apb-bench-run-", dir="/dev/shm") as name:
        command, ours = prepared(job, Path(name))
        with tempfile.TemporaryFile("w+") as output:
            began = time.perf_counter()
            process = subprocess.Popen(command, env=ours, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            watch(process.pid)
            _, status, used = os.wait4(process.pid, 0)  # with all that it has waited for itself
            wall = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            printed = output.read()
    if process.returncode:
        raise RuntimeError(f"ansible-playbook {job.playbook} failed: {printed[-2000:]}")
    return Ran(wall, used.ru_utime + used.ru_stime, published_in(printed))


def prepared(job: Job, directory: Path) -> tuple[list[str], dict[str, str]]:
    """The command and its environment; what they need is written to the directory."""
    for name in ("tmp", "cp", "remote", "async", "inventory"):
        (directory / name).mkdir()
    variables = directory / "variables.json"
    variables.write_text(unsafe.extravars({**job.settings, "apb_in_process": False}, job.variables))
    inventories = [word for path in cold.inventories(job, directory) for word in ("-i", path)]
    shown = {"ANSIBLE_SHOW_CUSTOM_STATS": "True", "ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")}
    ours = {**environment.of_run(os.environ), **environment.of_ansible(directory), **{name: text for name, text in shown.items() if text}}
    return [str(Path(sys.executable).with_name("ansible-playbook")), *inventories, "-e", f"@{variables}", job.playbook], ours


def published_in(printed: str) -> dict[str, Any]:
    """What the role published: the default output shows it last, as JSON. {} where it is none."""
    _, found, last = printed.rpartition("\tRUN: ")
    if not found:
        return {}
    stats, _ = json.JSONDecoder().raw_decode(last)
    published: dict[str, Any] = stats.get(PUBLISHED, {})
    return published
