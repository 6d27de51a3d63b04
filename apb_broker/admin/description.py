"""How the operator's routes are described at /openapi.json: one entry per route, by its endpoint."""

from http import HTTPStatus

from apb_broker.admin import answers, routes
from apb_broker.web.description import Answer, Link, Operation, Operations, Parameter, Schema

OK, INVALID, MISSING, UNSUPPORTED = HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY


def _number(maximum: int, default: int | None = None) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": maximum, **({} if default is None else {"default": default})}


OPERATIONS: Operations = {
    "admin.instances": Operation(
        {
            OK: Answer(
                "The instances",
                answers.InstanceViews,
                links=(
                    Link("admin.instance", {"instance_id": "$response.body#/instances/0/id"}),
                    Link("admin.operations", {"instance": "$response.body#/instances/0/id"}),
                    Link("admin.instances", {"after": "$response.body#/next"}),
                ),
            )
        },
        (INVALID,),
        (
            Parameter("name", "Those of this name"),
            Parameter("space", "Those of this space"),
            Parameter("limit", "How many at most", schema=_number(routes.MAX_LIMIT, routes.MAX_LIMIT)),
            Parameter("after", "Only what comes after the page that said this as `next`"),
        ),
    ),
    "admin.instance": Operation({OK: Answer("The instance", answers.InstanceView)}, (INVALID, MISSING)),
    "admin.operations": Operation(
        {
            OK: Answer(
                "The operations",
                answers.OperationViews,
                links=(
                    Link("admin.operation", {"operation_id": "$response.body#/operations/0/id"}),
                    Link("admin.log", {"operation_id": "$response.body#/operations/0/id"}),
                ),
            )
        },
        (INVALID,),
        (
            Parameter("instance", "Those of this instance and its bindings"),
            Parameter("state", "Those in this state"),
            Parameter("limit", "How many at most", schema=_number(routes.MAX_LIMIT, 100)),
        ),
    ),
    "admin.operation": Operation({OK: Answer("The operation", answers.OperationView)}, (INVALID, MISSING)),
    "admin.log": Operation(
        {OK: Answer("The lines there are", answers.Log)},
        (INVALID, MISSING),
        (
            Parameter("after", "Only what comes after the line of this `seq`", schema=_number(routes.MAX_SEQUENCE, 0)),
            Parameter("wait", "How many seconds to wait for a line", schema=_number(routes.MAX_WAIT_SECONDS, 0)),
        ),
    ),
    "admin.retry": Operation({OK: Answer("The operation", answers.OperationView)}, (INVALID, MISSING, UNSUPPORTED)),
    "admin.cancel": Operation({OK: Answer("The operation", answers.OperationView)}, (INVALID, MISSING, UNSUPPORTED)),
    "admin.protect": Operation({OK: Answer("The instance", answers.InstanceView)}, (INVALID, MISSING, UNSUPPORTED)),
    "admin.unprotect": Operation({OK: Answer("The instance", answers.InstanceView)}, (INVALID, MISSING, UNSUPPORTED)),
    "admin.restore": Operation({OK: Answer("The operation", answers.OperationView)}, (INVALID, MISSING, UNSUPPORTED)),
    "admin.purge": Operation({OK: Answer("The operation", answers.OperationView)}, (INVALID, MISSING, UNSUPPORTED)),
    "admin.forget": Operation({OK: Answer("What was known of it", answers.Forgotten)}, (INVALID, MISSING, UNSUPPORTED)),
    "admin.audited": Operation(
        {OK: Answer("The entries", answers.AuditEntries)},
        (INVALID,),
        (
            Parameter("instance", "Those about this instance"),
            Parameter("before", "Only what is older than the entry of this `seq`", schema=_number(routes.MAX_SEQUENCE)),
            Parameter("limit", "How many at most", schema=_number(routes.MAX_LIMIT, 100)),
        ),
    ),
}
