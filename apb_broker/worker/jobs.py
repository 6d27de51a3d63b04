"""A claimed operation as a job for `execution`: which playbook, on which hosts, with which of the operator's settings."""

from typing import Any

from apb_broker import execution
from apb_broker.catalog.config import Target
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
    return execution.Job(
        operation_id=work.operation_id,
        epoch=work.epoch,
        action=work.kind,
        playbook=f"apb.catalog.{work.kind}",
        variables=work.variables,
        settings=broker.catalog.settings(work.role, work.target),
        inventory=inventory(target),
        inventory_file=None if target.inventory is None else str(target.inventory),
        secrets=work.secrets,
        deadline_seconds=work.deadline_seconds,
        lease_seconds=broker.settings.lease_seconds,
        cancel_grace_seconds=broker.settings.cancel_grace_seconds,
        executor=broker.settings.executor,
    )


def inventory(target: Target) -> dict[str, Any] | None:
    """The hosts of a target without an inventory of its own: this machine. None where the operator's inventory says more."""
    if target.inventory is not None:
        return None
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    return {"hosts": dict.fromkeys({"localhost", *(host.name for host in target.hosts)}, local)}
