"""How the ten routes of OSB 2.17 are described at /openapi.json: one entry per route, by its endpoint."""

from http import HTTPStatus

from apb_broker.osb import answers, bodies
from apb_broker.osb.headers import IDENTITY, REQUEST_IDENTITY, VERSION
from apb_broker.osb.versions import VERSIONS
from apb_broker.web.description import ETAG, ID, Answer, Link, Operation, Operations, Parameter

HEADERS = (
    Parameter(VERSION, "The version of the protocol that the platform speaks", "header", {"enum": list(VERSIONS)}, required=True),
    Parameter(IDENTITY, "Who asks the platform: its name, a space, and a JSON object in base64", "header", {"type": "string"}),
    Parameter(REQUEST_IDENTITY, "Comes back with the answer", "header", {"type": "string"}),
)
ASYNC = Parameter(
    "accepts_incomplete",
    "`true`: the platform polls until the work is done. Without it bindings are made and removed within the request; instances never are",
    schema={"type": "string", "examples": ["true"]},
)
HINTS = (Parameter("service_id", "The instance's service", schema=ID), Parameter("plan_id", "The instance's plan", schema=ID))
NEEDED = tuple(Parameter(hint.name, hint.description, schema=ID, required=True) for hint in HINTS)
OPERATION = Parameter("operation", "Which operation; without it the last one", schema=ID)

OF_ALL = (HTTPStatus.BAD_REQUEST, HTTPStatus.PRECONDITION_FAILED)
UNSUPPORTED, MISSING, GONE = HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND, HTTPStatus.GONE
RETRY = {"Retry-After": "While it is in progress: seconds until it is worth asking again"}

# Where the next request finds what it needs: in the path, body or query of this one.
AT_INSTANCE = {"instance_id": "$request.path.instance_id"}
AT_BINDING = {**AT_INSTANCE, "binding_id": "$request.path.binding_id"}
IDS_OF_BODY = {"service_id": "$request.body#/service_id", "plan_id": "$request.body#/plan_id"}
IDS_OF_ANSWER = {"service_id": "$response.body#/service_id", "plan_id": "$response.body#/plan_id"}
FIRST_OFFER = {"service_id": "$response.body#/services/0/id", "plan_id": "$response.body#/services/0/plans/0/id"}
OPERATION_OF_ANSWER = {"operation": "$response.body#/operation"}

POLL_INSTANCE = Link("osb.instance_operation", {**AT_INSTANCE, **OPERATION_OF_ANSWER})
POLL_BINDING = Link("osb.binding_operation", {**AT_BINDING, **OPERATION_OF_ANSWER})
FETCH = Link("osb.fetch_instance", AT_INSTANCE)
FETCH_BINDING = Link("osb.fetch_binding", AT_BINDING)
AFTER_PROVISION = (
    FETCH,
    Link("osb.update", AT_INSTANCE, {"service_id": IDS_OF_BODY["service_id"]}),
    Link("osb.bind", AT_INSTANCE, IDS_OF_BODY),
    Link("osb.deprovision", {**AT_INSTANCE, **IDS_OF_BODY}),
)
AFTER_FETCH = (
    Link("osb.update", AT_INSTANCE, {"service_id": IDS_OF_ANSWER["service_id"]}),
    Link("osb.bind", AT_INSTANCE, IDS_OF_ANSWER),
    Link("osb.deprovision", {**AT_INSTANCE, **IDS_OF_ANSWER}),
)
AFTER_BIND = (
    FETCH_BINDING,
    Link("osb.unbind", {**AT_BINDING, **IDS_OF_BODY}),
    Link("osb.bind", AT_INSTANCE, {"predecessor_binding_id": "$request.path.binding_id"}),
)
LAST = {
    HTTPStatus.OK: Answer("How it stands", answers.LastOperation, headers=RETRY),
    GONE: Answer("A removal succeeded, where the operator wants this status for it (deleted_operation_status)", answers.LastOperation),
}


def _osb(
    answers: dict[HTTPStatus, Answer],
    refusals: tuple[HTTPStatus, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    body: type[bodies.Body] | None = None,
) -> Operation:
    return Operation(answers, (*OF_ALL, *refusals), (*HEADERS, *parameters), body)


OPERATIONS: Operations = {
    "osb.catalog": _osb(
        {
            HTTPStatus.OK: Answer("What is offered", answers.Catalog, headers=ETAG, links=(Link("osb.provision", {}, FIRST_OFFER),)),
            HTTPStatus.NOT_MODIFIED: Answer("The platform has it already (If-None-Match)"),
        },
    ),
    "osb.provision": _osb(
        {
            HTTPStatus.OK: Answer("It exists as it was asked for", answers.InstanceUnchanged, links=AFTER_PROVISION),
            HTTPStatus.ACCEPTED: Answer("It is being made", answers.InstanceAccepted, links=(POLL_INSTANCE, *AFTER_PROVISION)),
        },
        (HTTPStatus.CONFLICT, UNSUPPORTED),
        (ASYNC,),
        bodies.ProvisionBody,
    ),
    "osb.fetch_instance": _osb({HTTPStatus.OK: Answer("The instance", answers.Instance, links=AFTER_FETCH)}, (MISSING, UNSUPPORTED), HINTS),
    "osb.update": _osb(
        {
            HTTPStatus.OK: Answer("Done, or nothing to do", answers.InstanceUnchanged, links=(FETCH,)),
            HTTPStatus.ACCEPTED: Answer("It is being changed", answers.InstanceAccepted, links=(POLL_INSTANCE, FETCH)),
        },
        (MISSING, UNSUPPORTED),
        (ASYNC,),
        bodies.UpdateBody,
    ),
    "osb.deprovision": _osb(
        {HTTPStatus.ACCEPTED: Answer("It is being removed", answers.Accepted, links=(POLL_INSTANCE, FETCH))},
        (GONE, UNSUPPORTED),
        (*NEEDED, ASYNC),
    ),
    "osb.instance_operation": _osb(LAST, (MISSING,), (*HINTS, OPERATION)),
    "osb.bind": _osb(
        {
            HTTPStatus.OK: Answer("It exists as it was asked for", answers.MadeBinding, links=AFTER_BIND),
            HTTPStatus.CREATED: Answer("It was made within the request", answers.MadeBinding, links=AFTER_BIND),
            HTTPStatus.ACCEPTED: Answer("It is being made", answers.Accepted, links=(POLL_BINDING, *AFTER_BIND)),
        },
        (MISSING, HTTPStatus.CONFLICT, UNSUPPORTED),
        (ASYNC,),
        bodies.BindBody,
    ),
    "osb.fetch_binding": _osb({HTTPStatus.OK: Answer("The binding", answers.Binding)}, (MISSING, UNSUPPORTED), HINTS),
    "osb.unbind": _osb(
        {
            HTTPStatus.OK: Answer("It was removed within the request", answers.Done),
            HTTPStatus.ACCEPTED: Answer("It is being removed", answers.Accepted, links=(POLL_BINDING, FETCH_BINDING)),
        },
        (GONE, UNSUPPORTED),
        (*NEEDED, ASYNC),
    ),
    "osb.binding_operation": _osb(LAST, (MISSING,), (*HINTS, OPERATION)),
}
