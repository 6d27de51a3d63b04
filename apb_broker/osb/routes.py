"""The ten routes of OSB 2.17. Each parses, asks the rules, renders; what is refused is rendered by `web.errors`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, request

from apb_broker.lifecycle import bindings, errors, instances, operations
from apb_broker.lifecycle.requests import Accepted, Bind, Deprovision, Provision, Unbind, Update
from apb_broker.osb import bodies, headers, versions
from apb_broker.web.current import broker
from apb_broker.web.errors import HttpError

blueprint = Blueprint("osb", __name__, url_prefix="/v2")

INSTANCE = "/service_instances/<id:instance_id>"
BINDING = f"{INSTANCE}/service_bindings/<id:binding_id>"
STATES = {"queued": "in progress", "running": "in progress", "succeeded": "succeeded", "failed": "failed"}
POLL_SECONDS = 2

waiting = threading.BoundedSemaphore(8)  # synchronous callers, each of which holds a thread


@blueprint.get("/catalog")
def catalog() -> Response:
    """What is offered; 304 for a platform that has it already."""
    rendered = versions.rendered(broker().catalog, headers.version())
    response = Response(rendered.body, headers=rendered.headers)
    if "HTTP_IF_NONE_MATCH" in request.environ:
        response.make_conditional(request)
    return response


@blueprint.put(INSTANCE)
def provision(instance_id: str) -> Response:
    """Provisioning."""
    body = bodies.read(bodies.ProvisionBody)
    accepted = instances.provision(
        broker(),
        Provision(
            caller=headers.caller(body.context),
            instance_id=instance_id,
            service_id=body.service_id,
            plan_id=body.plan_id,
            organization=body.organization_guid,
            space=body.space_guid,
            parameters=body.parameters or {},
            context=body.context or {},
            maintenance_version=body.maintenance_info.version if body.maintenance_info else None,
            accepts_incomplete=_accepts_incomplete(),
        ),
    )
    return _accepted(accepted)


@blueprint.get(INSTANCE)
def fetch_instance(instance_id: str) -> dict[str, Any]:
    """Fetching a service instance."""
    _refuse_empty_hints()
    found = instances.fetch(broker(), headers.caller(), instance_id)
    found["apb_connection"] = found.pop("connection")
    return _body(found)


@blueprint.patch(INSTANCE)
def update(instance_id: str) -> Response:
    """Updating a service instance."""
    body = bodies.read(bodies.UpdateBody)
    accepted = instances.update(
        broker(),
        Update(
            caller=headers.caller(body.context),
            instance_id=instance_id,
            service_id=body.service_id,
            plan_id=body.plan_id,
            parameters=body.parameters,
            context=body.context,
            maintenance_version=body.maintenance_info.version if body.maintenance_info else None,
            accepts_incomplete=_accepts_incomplete(),
        ),
    )
    return _accepted(accepted)


@blueprint.delete(INSTANCE)
def deprovision(instance_id: str) -> Response:
    """Deprovisioning."""
    _require_query("service_id", "plan_id")
    return _accepted(instances.deprovision(broker(), Deprovision(headers.caller(), instance_id, _accepts_incomplete())))


@blueprint.get(f"{INSTANCE}/last_operation")
def instance_operation(instance_id: str) -> Response:
    """Polling the last operation of a service instance."""
    _refuse_empty_hints()
    return _state(operations.status(broker(), headers.caller(), instance_id, None, request.args.get("operation")))


@blueprint.put(BINDING)
def bind(instance_id: str, binding_id: str) -> Response:
    """Binding: later where the platform can wait, else within this request."""
    body = bodies.read(bodies.BindBody)
    wanted = Bind(
        caller=headers.caller(body.context),
        instance_id=instance_id,
        binding_id=binding_id,
        service_id=body.service_id,
        plan_id=body.plan_id,
        parameters=body.parameters,
        context=body.context or {},
        app=(body.bind_resource.app_guid if body.bind_resource else None) or body.app_guid,
        predecessor=body.predecessor_binding_id,
    )
    if _accepts_incomplete():
        accepted = bindings.bind(broker(), wanted)
        return _accepted(accepted) if accepted.operation_id is not None else _made(instance_id, binding_id, HTTPStatus.OK)
    with _waiter():
        accepted = bindings.bind(broker(), wanted)
        if accepted.operation_id is not None:
            _wait_for_bind(instance_id, binding_id, accepted.operation_id)
        return _made(instance_id, binding_id, HTTPStatus.CREATED if accepted.created else HTTPStatus.OK)


def _wait_for_bind(instance_id: str, binding_id: str, operation_id: str) -> None:
    """A platform that cannot wait longer gets a 5xx, so that it cleans up; we have undone the binding by ourselves then."""
    try:
        failure = operations.wait(broker(), operation_id, broker().settings.sync_wait_seconds)
    except errors.Unfinished:
        bindings.undo(broker(), instance_id, binding_id)
        raise
    if failure:
        bindings.undo(broker(), instance_id, binding_id)
        raise HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, failure)


@blueprint.get(BINDING)
def fetch_binding(instance_id: str, binding_id: str) -> dict[str, Any]:
    """Fetching a service binding."""
    _refuse_empty_hints()
    return _binding(bindings.fetch(broker(), headers.caller(), instance_id, binding_id))


@blueprint.delete(BINDING)
def unbind(instance_id: str, binding_id: str) -> Response:
    """Unbinding: later where the platform can wait, else within this request."""
    wanted = Unbind(headers.caller(), instance_id, binding_id)
    try:
        _require_query("service_id", "plan_id")
    except HttpError:
        bindings.require(broker(), wanted.caller, instance_id, binding_id)  # that it is gone counts before what the query lacks
        raise
    if _accepts_incomplete():
        return _accepted(bindings.unbind(broker(), wanted))
    with _waiter():
        accepted = bindings.unbind(broker(), wanted)
        if accepted.operation_id is not None:
            failure = operations.wait(broker(), accepted.operation_id, broker().settings.sync_wait_seconds)
            if failure:
                raise HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, failure)
        return jsonify({})


@blueprint.get(f"{BINDING}/last_operation")
def binding_operation(instance_id: str, binding_id: str) -> Response:
    """Polling the last operation of a service binding."""
    _refuse_empty_hints()
    return _state(operations.status(broker(), headers.caller(), instance_id, binding_id, request.args.get("operation")))


def _accepts_incomplete() -> bool:
    return request.args.get("accepts_incomplete") == "true"


def _require_query(*names: str) -> None:
    for name in names:
        if not request.args.get(name):
            raise HttpError(HTTPStatus.BAD_REQUEST, f"the query parameter {name} is missing")


def _refuse_empty_hints() -> None:
    """Hints need not be given, but not be empty either (OSB 2.17, "Fetching a Service Instance")."""
    for name in ("service_id", "plan_id", "operation"):
        if request.args.get(name) == "":
            raise HttpError(HTTPStatus.BAD_REQUEST, f"the query parameter {name} is empty: leave it out, or say something")


@contextmanager
def _waiter() -> Iterator[None]:
    """A place among the callers that wait; refused before any effect when all are taken."""
    if not waiting.acquire(blocking=False):
        raise errors.Busy("too many callers wait for bindings just now: try again, or ask with accepts_incomplete=true")
    try:
        yield
    finally:
        waiting.release()


def _accepted(accepted: Accepted) -> Response:
    """202 with the operation while it is in progress; 200 when there was nothing to do."""
    body: dict[str, Any] = {"dashboard_url": accepted.dashboard_url, "operation": accepted.operation_id}
    body["apb_connection"] = accepted.connection or None
    body["metadata"] = accepted.metadata or None
    response = jsonify(_body(body))
    response.status_code = HTTPStatus.OK if accepted.operation_id is None else HTTPStatus.ACCEPTED
    return response


def _made(instance_id: str, binding_id: str, status: HTTPStatus) -> Response:
    found = bindings.fetch(broker(), headers.caller(), instance_id, binding_id)
    del found["parameters"]
    response = jsonify(_binding(found))
    response.status_code = status
    return response


def _binding(found: dict[str, Any]) -> dict[str, Any]:
    """A binding's body: what is empty is left out."""
    return _body({name: value for name, value in found.items() if value or name in ("credentials", "parameters")})


def _state(found: dict[str, Any]) -> Response:
    state = STATES[found["state"]]
    flags = {name: found.get(name) for name in ("instance_usable", "update_repeatable")}
    response = jsonify(_body({"state": state, "description": found["description"] or state, **flags}))
    if state == "succeeded" and found["kind"] in ("deprovision", "unbind"):
        response.status_code = broker().settings.deleted_operation_status
    if state == "in progress":
        response.headers["Retry-After"] = str(POLL_SECONDS)
    return response


def _body(found: dict[str, Any]) -> dict[str, Any]:
    """A body as the platform's version of the protocol knows it, without what there is not."""
    return versions.body({name: value for name, value in found.items() if value is not None}, headers.version())
