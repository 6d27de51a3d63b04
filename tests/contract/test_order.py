"""Which check answers when a request is wrong in two ways: the earlier one, as strict platforms expect it.

Each route has its ways of being wrong in the order they are looked at; every pair of them is tried.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.contract.conftest import Platform


@dataclass
class Request:
    """A request that is right, until something is done to it."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    is_object: bool = True

    def send(self, platform: Platform) -> Any:
        """The answer to it."""
        content: dict[str, Any] = {} if self.body is None else {"json": self.body} if self.is_object else {"json": []}
        return platform.call(self.method, self.path, query_string=self.query, headers=self.headers, **content)


@dataclass(frozen=True)
class Fault:
    """One way of being wrong: what is done to the request, and how the answer tells it (status, and a word in its body)."""

    name: str
    spoil: Callable[[Request], None]
    status: int
    word: str

    def is_told(self, answer: Any) -> bool:
        """Whether this is what was answered."""
        return answer.status_code == self.status and self.word in answer.text


def _body(**changes: Any) -> Callable[[Request], None]:
    def spoil(request: Request) -> None:
        request.body = {**(request.body or {}), **changes}

    return spoil


def _header(name: str, value: str | None) -> Callable[[Request], None]:
    return lambda request: request.headers.update({name: value})


def _path(old: str, new: str) -> Callable[[Request], None]:
    def spoil(request: Request) -> None:
        request.path = request.path.replace(old, new)

    return spoil


def _taken(request: Request) -> None:
    _path("new", "taken")(request)
    _body(space_guid="other")(request)


def _no_object(request: Request) -> None:
    request.is_object = False


def _without(name: str) -> Callable[[Request], None]:
    def spoil(request: Request) -> None:
        del (request.query if name in request.query else request.body or {})[name]

    return spoil


FIRST = (
    Fault("authentication", _header("Authorization", None), 401, "password"),
    Fault("version", _header("X-Broker-API-Version", None), 400, "X-Broker-API-Version"),
)
OBJECT = Fault("object", _no_object, 400, "not a JSON object")
ASYNC = Fault("async", _without("accepts_incomplete"), 422, "AsyncRequired")


def wrong_answers(platform: Platform, right: Callable[[], Request], faults: tuple[Fault, ...]) -> list[str]:
    """The faults that are not told when they are alone, and the pairs of which the later one is told."""
    found = []
    for chosen in (*((fault,) for fault in faults), *itertools.combinations(faults, 2)):
        request = right()
        for fault in reversed(chosen):  # what makes no object of the body comes last
            fault.spoil(request)
        answer = request.send(platform)
        if not chosen[0].is_told(answer):
            found.append(f"{' and '.join(fault.name for fault in chosen)}: {answer.status_code} {answer.text}")
    return found


def test_order_of_routes(platform: Platform) -> None:
    """Authentication, then the version, then whether there is such a route."""
    faults = (*FIRST, Fault("route", _path("catalog", "nothing"), 404, "description"))
    assert wrong_answers(platform, lambda: Request("GET", "/v2/catalog"), faults) == []


def test_order_of_a_provision(box_platform: Callable[..., Platform]) -> None:
    """Object, mandatory fields, service and plan, parameters, maintenance version, asynchrony, and only then what exists."""
    platform = box_platform(service={"maintenance": {"version": "1.0.0"}})
    platform.put("taken")
    body = {**platform.ids, "organization_guid": "org", "space_guid": "space"}
    faults = (
        *FIRST,
        OBJECT,
        Fault("mandatory", _body(organization_guid=""), 400, "organization_guid"),
        Fault("catalog", _body(plan_id="none"), 400, "plan_id"),
        Fault("parameters", _body(parameters={"memory": 99}), 400, "memory"),
        Fault("maintenance", _body(maintenance_info={"version": "9.9.9"}), 422, "MaintenanceInfoConflict"),
        ASYNC,
        Fault("exists", _taken, 409, "exists"),
    )

    def right() -> Request:
        return Request("PUT", "/v2/service_instances/new", {"accepts_incomplete": "true"}, body)

    assert wrong_answers(platform, right, faults) == []


def test_order_of_an_update(box_platform: Callable[..., Platform]) -> None:
    """The same for an update; what it meets in progress comes last."""
    platform = box_platform(service={"maintenance": {"version": "1.0.0"}})
    platform.ready("quiet")
    platform.ready("busy")
    platform.patch("busy", parameters={"memory": 2})
    faults = (
        *FIRST,
        OBJECT,
        Fault("mandatory", _body(service_id=""), 400, "service_id: string should have at least 1 character"),
        Fault("catalog", _body(plan_id="none"), 400, "plan_id"),
        Fault("parameters", _body(parameters={"memory": 99}), 400, "memory"),
        Fault("maintenance", _body(maintenance_info={"version": "9.9.9"}), 422, "MaintenanceInfoConflict"),
        ASYNC,
        Fault("progress", _path("quiet", "busy"), 422, "ConcurrencyError"),
    )
    body = {"service_id": platform.ids["service_id"], "parameters": {"memory": 1.5}}

    def right() -> Request:
        return Request("PATCH", "/v2/service_instances/quiet", {"accepts_incomplete": "true"}, body)

    assert wrong_answers(platform, right, faults) == []


def test_order_of_a_deprovision(platform: Platform) -> None:
    """The mandatory query, then asynchrony, then whether there is anything."""
    platform.ready()
    faults = (
        *FIRST,
        Fault("mandatory", _without("plan_id"), 400, "plan_id"),
        ASYNC,
        Fault("exists", _path("i1", "none"), 410, "does not exist"),
    )

    def right() -> Request:
        return Request("DELETE", "/v2/service_instances/i1", {**platform.ids, "accepts_incomplete": "true"})

    assert wrong_answers(platform, right, faults) == []


def test_order_of_a_binding(box_platform: Callable[..., Platform]) -> None:
    """Object, mandatory fields, service and plan, parameters, the application, and only then what exists."""
    parameters = {"access": {"type": "string", "enum": ["read", "write"], "default": "write"}}
    platform = box_platform(service={"bind": {"requires_app": True, "parameters": parameters}})
    platform.ready()
    platform.bind(binding_id="taken", app_guid="app")
    faults = (
        *FIRST,
        OBJECT,
        Fault("mandatory", _body(service_id=""), 400, "service_id"),
        Fault("catalog", _body(plan_id="none"), 400, "plan_id"),
        Fault("parameters", _body(parameters={"access": "admin"}), 400, "access"),
        Fault("application", _without("app_guid"), 422, "RequiresApp"),
        Fault("exists", _path("new", "taken"), 409, "exists"),
    )
    path = "/v2/service_instances/i1/service_bindings/new"

    def right() -> Request:
        return Request("PUT", path, {"accepts_incomplete": "true"}, {**platform.ids, "app_guid": "app", "parameters": {"access": "read"}})

    assert wrong_answers(platform, right, faults) == []


def test_order_of_an_unbinding(platform: Platform) -> None:
    """Whether there is anything, then the mandatory query: to remove what is gone no more has to be known."""
    platform.ready()
    platform.bound()
    faults = (*FIRST, Fault("exists", _path("b1", "none"), 410, "does not exist"), Fault("mandatory", _without("plan_id"), 400, "plan_id"))
    path = "/v2/service_instances/i1/service_bindings/b1"

    def right() -> Request:
        return Request("DELETE", path, {**platform.ids, "accepts_incomplete": "true"})

    assert wrong_answers(platform, right, faults) == []
