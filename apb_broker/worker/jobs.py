"""A claimed operation as a job for `execution`: which playbook, on which hosts, with which of the operator's settings."""

from typing import Any

from apb_broker import execution
from apb_broker.catalog.config import HostTarget, SharedTarget, Target
from apb_broker.catalog.errors import ConfigError
from apb_broker.lifecycle import variables
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work


class Unrunnable(Exception):
    """The operator's configuration lacks what this operation needs."""


def build(broker: Broker, work: Work) -> execution.Job:
    """The run of one operation. Raises Unrunnable."""
    try:
        target = broker.catalog.target(work.target)
    except KeyError as error:
        raise Unrunnable(f"apb.yml has no target '{work.target}' any more, which this instance is on: put it back") from error
    server, action = _server(target), variables.ACTION_OF.get(work.kind, work.kind)
    return execution.Job(
        operation_id=work.operation_id,
        epoch=work.epoch,
        action=action,
        playbook=f"apb.catalog.{action}",
        variables={**work.variables, **({"apb_server": server} if server else {})},
        settings=broker.catalog.settings(work.role, work.target),
        inventory=inventory(target),
        inventory_file=_inventory_file(target),
        secrets=(*work.secrets, *([server["password"]] if server else [])),
        deadline_seconds=work.deadline_seconds,
        lease_seconds=broker.settings.lease_seconds,
        cancel_grace_seconds=broker.settings.cancel_grace_seconds,
        executor=broker.settings.executor,
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
