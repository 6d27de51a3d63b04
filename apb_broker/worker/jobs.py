"""A claimed operation as a job for `execution`: which playbook, on which hosts, with which of the operator's settings."""

from dataclasses import replace
from typing import Any

from apb_broker import execution
from apb_broker.catalog.config import HostTarget, SharedTarget, Target
from apb_broker.catalog.errors import ConfigError
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work

ON_HOSTS = ("provision", "update", "deprovision", "stop", "restore")  # the others only talk to an address
ENDING_SECONDS = 60.0


class Unrunnable(Exception):
    """The operator's configuration lacks what this operation needs."""


def build(broker: Broker, work: Work) -> execution.Job:
    """The run of one operation. Raises Unrunnable."""
    try:
        target = broker.catalog.target(work.target)
    except KeyError as error:
        raise Unrunnable(f"apb.yml has no target '{work.target}' any more, which this instance is on: put it back") from error
    server = _server(target)
    return execution.Job(
        operation_id=work.operation_id,
        epoch=work.epoch,
        action=work.action,
        playbook=f"apb.catalog.{work.action}",
        variables={**work.variables, **({"apb_server": server} if server else {})},
        settings=broker.catalog.settings(work.role, work.target),
        inventory=inventory(target),
        inventory_file=_inventory_file(target),
        secrets=(*work.secrets, *([server["password"]] if server else [])),
        deadline_seconds=work.deadline_seconds,
        lease_seconds=broker.settings.lease_seconds,
        cancel_grace_seconds=broker.settings.cancel_grace_seconds,
        executor=broker.settings.executor,
        limits=execution.Limits(**broker.settings.run_limits.model_dump()),
    )


def ending(job: execution.Job) -> execution.Job | None:
    """A run that ends what this one, which was halted, has left working on a remote host. None where nothing can be left.

    Its epoch is the next one, which no run of the instance has had: those before it are refused from then on.
    """
    if job.inventory_file is None or job.action not in ON_HOSTS:
        return None
    return replace(
        job,
        playbook="apb.catalog.end_runs",
        epoch=job.epoch + 1,
        variables={**job.variables, "apb_epoch": job.epoch + 1},
        deadline_seconds=ENDING_SECONDS,
    )


def inventory(target: Target) -> dict[str, Any] | None:
    """The hosts of a target without an inventory of its own: this machine. None where the operator's inventory says more."""
    if _inventory_file(target) is not None:
        return None
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = [host.name for host in target.hosts] if isinstance(target, HostTarget) else []
    return {"hosts": dict.fromkeys({"localhost", *hosts}, local)}


def _inventory_file(target: Target) -> str | None:
    return str(target.inventory) if isinstance(target, HostTarget) and target.inventory is not None else None


def _server(target: Target) -> dict[str, Any] | None:
    """The server that a shared target is, and as whom to use it. The password is read for each run, so that a new one counts at once."""
    if not isinstance(target, SharedTarget):
        return None
    try:
        password = target.password()
    except ConfigError as error:
        raise Unrunnable(f"target '{target.name}' cannot be used: {error}") from error
    return {"host": target.address, "port": target.port, "username": target.username, "password": password}
