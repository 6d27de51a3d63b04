"""Gives generated requests sense: ids made earlier, services and plans of the catalog, parameters they take. What was negated stays so."""

import base64
import json
import random
from typing import Any

from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from apb_broker.lifecycle.broker import Broker
from apb_broker.osb.versions import VERSIONS

INSTANCES = ["i1", "i2", "i3", "a%b c", "盒子"]
BINDINGS = ["b1", "b2", "..b"]
PLACES = ["here", "there"]
CONTEXTS: list[Any] = [
    None,
    {},
    {"platform": "kubernetes", "namespace": "ns", "clusterid": "c", "instance_name": "cache"},
    {"platform": "cloudfoundry", "organization_guid": "here", "space_guid": "here", "instance_name": "cache"},
    {"platform": "apb", "instance_name": "cache", "binding_name": "shop"},
]
PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "redis-standard": [
        {},
        {"memory": 0.5},
        {"memory": "1.5"},
        {"memory": 4, "host": "cache.example.com"},
        {"password": "a-long-enough-one"},
    ],
    "redis-tenant": [{}],
    "postgresql-tenant": [{}, {"connections": 5}, {"connections": "7", "extensions": ["vector"]}],
}
CHANGES = [{}, {"memory": 1}, {"memory": 2.5}, {"connections": 9}, {"extensions": []}]
BIND_PARAMETERS = [{}, {"access": "read"}, {"access": "readwrite"}]


def identity(platform: str, value: Any) -> str:
    """An originating identity as a header says it."""
    return f"{platform} {base64.b64encode(json.dumps(value).encode()).decode()}"


IDENTITIES = [identity("kubernetes", {"username": "duke", "groups": ["a"]}), identity("cloudfoundry", {"user_id": "683ea748"})]


class Sense:
    """What is known of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        services = broker.catalog.osb()["services"]
        self._plans = [(service["id"], plan["id"], plan["name"]) for service in services for plan in service["plans"]]

    def give(self, case: Case, chance: random.Random) -> None:
        """Changes a case that is about to be sent."""
        self._path(case, chance)
        self._query(case, chance)
        self._headers(case, chance)
        if not _is_negated(case, ParameterLocation.BODY) and isinstance(case.body, dict):
            self._body(case, case.body, chance)

    def _path(self, case: Case, chance: random.Random) -> None:
        for name, value in case.path_parameters.items():
            case.path_parameters[name] = str(value).replace("/", "_")  # schemathesis does not encode it, so that it would end the segment
        if _is_negated(case, ParameterLocation.PATH):
            return
        known = {"instance_id": INSTANCES, "binding_id": BINDINGS, "operation_id": self._operations()}
        for name, value in case.path_parameters.items():
            if value not in known[name] and known[name] and chance.random() < 0.9:
                case.path_parameters[name] = chance.choice(known[name])

    def _query(self, case: Case, chance: random.Random) -> None:
        query = case.query
        if str(query.get("wait", "0")) not in ("0", ""):
            query["wait"] = 0  # nothing would be learned by waiting
        if _is_negated(case, ParameterLocation.QUERY):
            return
        if case.method in ("PUT", "PATCH", "DELETE") and chance.random() < 0.8:
            query["accepts_incomplete"] = "true"
        if "service_id" in query and chance.random() < 0.7:
            query["service_id"], query["plan_id"], _plan = chance.choice(self._plans)
        if "operation" in query and chance.random() < 0.9 and query["operation"] not in self._operations():
            del query["operation"]
        if "instance" in query and chance.random() < 0.8:
            query["instance"] = chance.choice(INSTANCES)

    def _headers(self, case: Case, chance: random.Random) -> None:
        if _is_negated(case, ParameterLocation.HEADER):
            return
        if "X-Broker-API-Version" in case.headers:
            case.headers["X-Broker-API-Version"] = "2.17" if chance.random() < 0.7 else chance.choice(VERSIONS)
        if "X-Broker-API-Originating-Identity" in case.headers and chance.random() < 0.9:
            del case.headers["X-Broker-API-Originating-Identity"]
            if chance.random() < 0.4:
                case.headers["X-Broker-API-Originating-Identity"] = chance.choice(IDENTITIES)

    def _body(self, case: Case, body: dict[str, Any], chance: random.Random) -> None:
        likely = chance.random() < 0.9
        service_id, plan_id, plan = self._of(case) or chance.choice(self._plans)
        if likely and "service_bindings" in case.path:
            self._bind(body, service_id, plan_id, chance)
        elif likely and case.method == "PUT":
            body |= {"service_id": service_id, "plan_id": plan_id, "organization_guid": "here", "space_guid": chance.choice(PLACES)}
            body["parameters"] = chance.choice(PARAMETERS[plan])
        elif likely:
            body["service_id"] = service_id
            body["parameters"] = chance.choice(CHANGES)
            if chance.random() < 0.8:
                body.pop("plan_id", None)
        if chance.random() < 0.8:
            body["context"] = chance.choice(CONTEXTS)
        if "maintenance_info" in body and chance.random() < 0.8:
            body["maintenance_info"] = {"version": chance.choice(["1.0.0", "1.0.0", "2.0.0"])}

    def _bind(self, body: dict[str, Any], service_id: str, plan_id: str, chance: random.Random) -> None:
        body |= {"service_id": service_id, "plan_id": plan_id, "parameters": chance.choice(BIND_PARAMETERS)}
        body.pop("predecessor_binding_id", None)
        if chance.random() < 0.2:
            body["predecessor_binding_id"] = chance.choice(BINDINGS)
            if chance.random() < 0.7:
                body["parameters"] = None

    def _of(self, case: Case) -> tuple[str, str, str] | None:
        """Service and plan of the instance that the case is about."""
        with self._broker.database.unit() as unit:
            found = unit.instance(str(case.path_parameters.get("instance_id")).replace("\0", ""))
            return None if found is None else (found.service_id, found.plan_id, found.plan_name)

    def _operations(self) -> list[str]:
        with self._broker.database.unit() as unit:
            return [row.id for row in unit.operations(limit=20)]


def _is_negated(case: Case, location: ParameterLocation) -> bool:
    component = case.meta.components.get(location) if case.meta is not None else None
    return component is not None and component.mode.is_negative
