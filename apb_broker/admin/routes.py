"""/admin/v1: instances, operations, logs, the audit; and what an operator does by hand."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, g, request

from apb_broker.lifecycle import audit, interventions, kept, views
from apb_broker.lifecycle.requests import Caller
from apb_broker.web.current import broker
from apb_broker.web.errors import HttpError

blueprint = Blueprint("admin", __name__, url_prefix="/admin/v1")

MAX_WAIT_SECONDS = 30
MAX_LIMIT = 1000
MAX_SEQUENCE = 2**62


@blueprint.get("/instances")
def instances() -> dict[str, Any]:
    """Instances, oldest first, all or those of ?name= and ?space=; ?limit= at a time, ?after= goes on where `next` says."""
    wanted = {name: request.args.get(name) for name in ("name", "space", "after")}
    found, following = views.instances(broker(), **wanted, limit=_number("limit", MAX_LIMIT, MAX_LIMIT))
    return {"instances": found, "next": following}


@blueprint.get("/instances/<id:instance_id>")
def instance(instance_id: str) -> dict[str, Any]:
    """One instance."""
    return views.instance(broker(), instance_id)


@blueprint.get("/operations")
def operations() -> dict[str, Any]:
    """Operations, newest first; ?instance=, ?state=, ?limit= narrow them."""
    found = views.operations(
        broker(), instance_id=request.args.get("instance"), state=request.args.get("state"), limit=_number("limit", 100, MAX_LIMIT)
    )
    return {"operations": found}


@blueprint.get("/operations/<operation_id>")
def operation(operation_id: str) -> dict[str, Any]:
    """One operation."""
    return views.operation(broker(), operation_id)


@blueprint.get("/operations/<operation_id>/log")
def log(operation_id: str) -> dict[str, Any]:
    """The lines of an operation's log after ?after=; with ?wait= seconds it waits for something new."""
    return views.log(broker(), operation_id, after=_number("after", 0, MAX_SEQUENCE), wait_seconds=_number("wait", 0, MAX_WAIT_SECONDS))


@blueprint.post("/operations/<operation_id>/retry")
def retry(operation_id: str) -> dict[str, Any]:
    """Runs a failed operation again, as a new one; or at once what waits to be run again."""
    return interventions.retry(broker(), _caller(), operation_id)


@blueprint.post("/operations/<operation_id>/cancel")
def cancel(operation_id: str) -> dict[str, Any]:
    """Ends an operation that has not ended."""
    return interventions.cancel(broker(), _caller(), operation_id)


@blueprint.post("/instances/<id:instance_id>/protect")
def protect(instance_id: str) -> dict[str, Any]:
    """Keeps platforms from deleting an instance, whatever its plan says."""
    return interventions.protect(broker(), _caller(), instance_id, protected=True)


@blueprint.post("/instances/<id:instance_id>/unprotect")
def unprotect(instance_id: str) -> dict[str, Any]:
    """Lets platforms delete an instance, whatever its plan says."""
    return interventions.protect(broker(), _caller(), instance_id, protected=False)


@blueprint.post("/instances/<id:instance_id>/restore")
def restore(instance_id: str) -> dict[str, Any]:
    """Gives an instance that was deleted and is kept back to its owner, with its data."""
    return kept.restore(broker(), _caller(), instance_id)


@blueprint.post("/instances/<id:instance_id>/purge")
def purge(instance_id: str) -> dict[str, Any]:
    """Removes an instance that was deleted and is kept for good, with its data."""
    return kept.purge(broker(), _caller(), instance_id)


@blueprint.post("/instances/<id:instance_id>/forget")
def forget(instance_id: str) -> dict[str, Any]:
    """Forgets an instance whose removal failed, without running anything. Answers what was known of it."""
    return interventions.forget(broker(), _caller(), instance_id)


@blueprint.get("/audit")
def audited() -> dict[str, Any]:
    """Who did what, newest first; ?instance= and ?limit= narrow it, ?before=SEQ goes on."""
    before = _number("before", 0, MAX_SEQUENCE) if "before" in request.args else None
    found = audit.read(broker(), instance_id=request.args.get("instance"), before=before, limit=_number("limit", 100, MAX_LIMIT))
    return {"audit": found}


def _caller() -> Caller:
    return Caller(g.user, g.user)


def _number(name: str, default: int, maximum: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= maximum):
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{name}: expected a whole number from 0 to {maximum}")
    return int(text)
