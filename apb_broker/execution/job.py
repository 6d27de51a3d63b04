"""What goes into a run and what comes out of it, and how both travel as JSON lines; how a run is made is left to `run` and `supervisor`."""

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from apb_broker.execution import unsafe
from apb_broker.execution.limits import Limits

Status = Literal["succeeded", "failed", "canceled", "lost"]


class JobError(ValueError):
    """The job cannot be run as it is described."""


@dataclass(frozen=True)
class Job:
    """One action on one instance or binding.

    `executor`: `cold` (ansible-runner in fresh processes), `warm` (the same in forks of a process that has loaded
    Ansible, where this process keeps one; otherwise cold) or `scripted` (tests and load).
    """

    operation_id: str
    epoch: int
    action: str  # provision | update | bind | unbind | deprovision | verify | stop | restore | survey
    playbook: str  # "apb.catalog.provision", or a path
    variables: dict[str, Any]  # the apb_* variables: every string in them reaches Ansible as unsafe, never as a template
    settings: dict[str, Any] = field(default_factory=dict)  # the operator's plain role settings: trusted, may be templates
    inventory: dict[str, Any] | None = None  # {"hosts": {name: {hostvars}}}; localhost is always there, with connection local
    inventory_file: str | None = None  # an operator's inventory file or directory, used instead; its own localhost wins over ours
    secrets: tuple[str, ...] = ()  # values masked in every text that leaves a run
    deadline_seconds: float = 1800.0
    lease_seconds: float = 15.0
    cancel_grace_seconds: float = 10.0
    executor: str = "cold"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `lost`: nobody knows how far it came (a process of it died, or its lease was not renewed); it may be run again."""

    status: Status
    published: dict[str, Any] = field(default_factory=dict)  # what the role published, if it did. Secret, but drift and unreachable
    message: str = ""  # for the tenant, masked; empty on success
    transient: bool = False  # failed for a reason that may pass by itself, as an unreachable host or a full disk
    halted: bool = False  # ended in the middle, by cancel or deadline: on a remote host its last task may go on


@dataclass(frozen=True)
class Progress:
    """A task with a name of its own begins on a host. `text` is that name, masked."""

    text: str
    host: str
    at: datetime  # aware, UTC


@dataclass(frozen=True)
class Assignment:
    """The first line on a supervisor's stdin: the job, who may be served by it, and the directory to fall back on without tmpfs.

    `leased_at`, by processes.boot_clock(): when the lease was asked for that the run begins with. None: now.
    """

    job: Job
    parent_pid: int
    run_root: str | None
    leased_at: float | None = None


def checked(job: Job) -> Job:
    """The job with absolute paths; raises JobError when it can never be run."""
    try:
        unsafe.check(job.variables)
    except unsafe.UnsafeError as error:
        raise JobError(f"variables of operation {job.operation_id}: {error}") from error
    if job.inventory is not None and job.inventory_file is not None:
        raise JobError(f"operation {job.operation_id}: inventory and inventory_file exclude each other")
    inventory_file = None if job.inventory_file is None else str(Path(job.inventory_file).absolute())
    return dataclasses.replace(job, playbook=_playbook(job.playbook), inventory_file=inventory_file)


def _playbook(name: str) -> str:
    is_path = "/" in name or name.endswith((".yml", ".yaml", ".json"))
    return str(Path(name).absolute()) if is_path else name


def encode_assignment(assignment: Assignment) -> bytes:
    """One JSON line; raises JobError for values JSON has no word for."""
    try:
        job = {**vars(assignment.job), "limits": vars(assignment.job.limits)}  # asdict would copy all that the variables hold
        return json.dumps({**vars(assignment), "job": job}, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise JobError(f"operation {assignment.job.operation_id}: {error}") from error


def decode_assignment(line: bytes) -> Assignment:
    """The reverse of encode_assignment. Where a new release was installed below a worker that runs, it may lack what is new."""
    data = json.loads(line)
    fields = {**data["job"], "secrets": tuple(data["job"]["secrets"]), "limits": Limits(**data["job"].get("limits", {}))}
    return Assignment(Job(**fields), data["parent_pid"], data["run_root"], data.get("leased_at"))


def encode_message(message: Progress | Outcome) -> bytes:
    """One JSON line, as it travels from runner to supervisor and from supervisor to worker."""
    if isinstance(message, Progress):
        data = {"type": "progress", "text": message.text, "host": message.host, "at": message.at.isoformat()}
    else:
        data = {"type": "outcome", **dataclasses.asdict(message)}
        if not message.halted:
            del data["halted"]  # a worker of the previous release does not know it
    return json.dumps(data).encode() + b"\n"


def decode_message(line: bytes) -> Progress | Outcome:
    """The reverse of encode_message."""
    data = json.loads(line)
    if data.pop("type") == "progress":
        return Progress(data["text"], data["host"], datetime.fromisoformat(data["at"]))
    return Outcome(**data)
