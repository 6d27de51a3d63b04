"""Gives generated requests sense: ids made earlier, services and plans of the catalog, parameters they take. What was negated stays so."""

import base64
import json
import random
from typing import Any
from urllib.parse import unquote

from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from apb_broker.lifecycle.broker import Broker
from apb_broker.osb.versions import VERSIONS

INSTANCES = ["i1", "a%b c", "盒子"]
BINDINGS = ["b1", "b2", "..b"]
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
CHANGES_OF: dict[str, list[dict[str, Any]]] = {
    "redis-standard": [{}, {"memory": 1}, {"memory": 2.5}],
    "redis-tenant": [{}],
    "postgresql-tenant": [{}, {"connections": 9}, {"extensions": []}],
}
BIND_PARAMETERS = [{}, {"access": "read"}, {"access": "readwrite"}]


def identity(platform: str, value: Any) -> str:
    """An originating identity as a header says it."""
    return f"{platform} {base64.b64encode(json.dumps(value).encode()).decode()}"


IDENTITIES = {
    "kubernetes": identity("kubernetes", {"username": "duke", "groups": ["a"]}),
    "cloudfoundry": identity("cloudfoundry", {"user_id": "683ea748"}),
    "apb": identity("apb", {}),
}


class Plans:
    """The plans of a catalog, and which one an instance is made of, so that requests about it agree."""

    def __init__(self, broker: Broker) -> None:
        services = broker.catalog.osb()["services"]
        self.all = [(service["id"], plan["id"], plan["name"]) for service in services for plan in service["plans"]]

    def of(self, instance_id: str) -> tuple[str, str, str]:
        """Service id, plan id, plan name."""
        return self.all[INSTANCES.index(instance_id) % len(self.all)] if instance_id in INSTANCES else self.all[0]


class Sense:
    """What is known of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._plans = broker, Plans(broker)

    def give(self, case: Case, chance: random.Random) -> None:
        """Changes a case that is about to be sent."""
        self._path(case, chance)
        self._query(case, chance)
        if not _is_negated(case, ParameterLocation.BODY) and isinstance(case.body, dict):
            self._body(case, case.body, chance)
        self._headers(case, chance)

    def _path(self, case: Case, chance: random.Random) -> None:
        if _is_negated(case, ParameterLocation.PATH):
            return
        known = {"instance_id": INSTANCES, "binding_id": BINDINGS, "operation_id": self._operations()}
        for name, value in case.path_parameters.items():
            if unquote(str(value)) not in known[name] and known[name] and chance.random() < 0.9:
                case.path_parameters[name] = chance.choice(known[name])

    def _query(self, case: Case, chance: random.Random) -> None:
        query = case.query
        if str(query.get("wait", "0")) not in ("0", ""):
            query["wait"] = 0  # nothing would be learned by waiting
        if _is_negated(case, ParameterLocation.QUERY):
            return
        if case.method in ("PUT", "PATCH", "DELETE") and chance.random() < 0.93:
            query["accepts_incomplete"] = "true"
        if "service_id" in query and chance.random() < 0.7:
            query["service_id"], query["plan_id"], _plan = chance.choice(self._plans.all)
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
            context = case.body.get("context") if isinstance(case.body, dict) else None
            platform = context.get("platform") if isinstance(context, dict) else None
            if chance.random() < 0.4:
                case.headers["X-Broker-API-Originating-Identity"] = IDENTITIES.get(platform or "apb", "x")

    def _body(self, case: Case, body: dict[str, Any], chance: random.Random) -> None:
        likely = chance.random() < 0.9
        known = self._plans.of(unquote(str(case.path_parameters["instance_id"])))
        service_id, plan_id, plan = known if chance.random() < 0.9 else chance.choice(self._plans.all)
        if likely and "service_bindings" in case.path:
            self._bind(body, service_id, plan_id, chance)
        elif likely and case.method == "PUT":
            body |= {"service_id": service_id, "plan_id": plan_id, "organization_guid": "here"}
            body["space_guid"] = "here" if chance.random() < 0.9 else "there"
            body["parameters"] = chance.choice(PARAMETERS[plan])
        elif likely:
            body["service_id"] = service_id
            body["parameters"] = chance.choice(CHANGES_OF[plan])
            if chance.random() < 0.8:
                body.pop("plan_id", None)
        if chance.random() < 0.8:
            body["context"] = chance.choice(CONTEXTS)
        if "maintenance_info" in body and chance.random() < 0.95:
            body["maintenance_info"] = {"version": chance.choice(["1.0.0"] * 7 + ["2.0.0"])}

    def _bind(self, body: dict[str, Any], service_id: str, plan_id: str, chance: random.Random) -> None:
        body |= {"service_id": service_id, "plan_id": plan_id, "parameters": chance.choice(BIND_PARAMETERS)}
        body.pop("predecessor_binding_id", None)
        if chance.random() < 0.2:
            body["predecessor_binding_id"] = chance.choice(BINDINGS)
            if chance.random() < 0.7:
                body["parameters"] = None

    def _operations(self) -> list[str]:
        with self._broker.database.unit() as unit:
            return [row.id for row in unit.operations(limit=20)]


def _is_negated(case: Case, location: ParameterLocation) -> bool:
    component = case.meta.components.get(location) if case.meta is not None else None
    return component is not None and component.mode.is_negative
