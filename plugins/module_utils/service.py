"""A service as its role describes it: the front door to service.yml for the broker, the playbooks and the tools.

Owns what is done with a plan: checking parameters, making names and secrets, evaluating needs and connection. All is pure and works on
a Plan alone, so a stored snapshot is enough to go on when role and plan left the catalog. Nothing imports Ansible. Reading service.yml is
service_description.py's, checking one value service_parameters.py's, publishing schemas service_schemas.py's.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import json
import math
from secrets import token_urlsafe

from ansible_collections.apb.catalog.plugins.module_utils import service_expressions as expressions
from ansible_collections.apb.catalog.plugins.module_utils import service_numbers as numbers
from ansible_collections.apb.catalog.plugins.module_utils import service_parameters as checks
from ansible_collections.apb.catalog.plugins.module_utils.service_description import (
    INSTANCE_FIELDS,
    MODES_OF,
    Plan,
    Service,
    load,
    plan_from_snapshot,
)
from ansible_collections.apb.catalog.plugins.module_utils.service_errors import (
    SENSITIVE,
    CredentialsError,
    ParameterError,
    ServiceError,
)
from ansible_collections.apb.catalog.plugins.module_utils.service_schemas import customize, osb_schemas, text

__all__ = [
    "MODES_OF",
    "CredentialsError",
    "ParameterError",
    "Plan",
    "Service",
    "ServiceError",
    "bind_parameters",
    "binding_username",
    "check_credentials",
    "check_late",
    "connection",
    "create_parameters",
    "customize",
    "dashboard_url",
    "load",
    "name_patterns",
    "names",
    "names_of",
    "needs",
    "osb_schemas",
    "plan_from_snapshot",
    "redact",
    "secrets",
    "sensitive",
    "slug",
    "text",
    "update_parameters",
]

_STRICT = json.JSONEncoder(allow_nan=False)


def create_parameters(plan: Plan, given: dict) -> dict:
    """A new instance's parameters: given, then defaults, then what the plan sets. Raises ParameterError."""
    return {**plan.checks.check(given), **copy.deepcopy(plan.fixed)}


def update_parameters(plan: Plan, current: dict, given: dict) -> dict:
    """The parameters after an update: current ones overlaid by given ones, all within the limits of `plan` (the new plan on a plan change).

    A parameter that is not x-updatable may only be repeated with its current value. Raises ParameterError.
    """
    changes = plan.checks.check(given, fill=False)
    for name, value in changes.items():
        schema = plan.parameters[name]
        unchanged = name in current and _same(current[name], value)
        if not schema.get("x-updatable") and not unchanged:
            raise ParameterError(
                name, SENSITIVE if checks.is_sensitive(schema) else given[name], "cannot be given: it stays as it was created"
            )
    kept = {name: value for name, value in current.items() if name in plan.parameters}
    return create_parameters(plan, {**kept, **changes})


def _same(one, other) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def bind_parameters(plan: Plan, given: dict) -> dict:
    """A new binding's parameters with defaults. Raises ParameterError."""
    return plan.bind_checks.check(given)


def sensitive(plan: Plan, parameters: dict) -> dict:
    """Only those parameters that must be kept secret."""
    return {name: value for name, value in parameters.items() if name not in plan.public}


def redact(plan: Plan, parameters: dict) -> dict:
    """The parameters without those that must be kept secret."""
    return {name: value for name, value in parameters.items() if name in plan.public}


def slug(service_name: str, instance_id: str) -> str:
    """The instance's name on machines: redis-3f9a0c12ab4e. Ids may hold any character, so only their hash becomes a name."""
    return f"{service_name}-{hashlib.sha256(instance_id.encode()).hexdigest()[:12]}"


def names(service_name: str, instance_id: str) -> dict:
    """What an instance is called: slug (hosts, processes), database (SQL, needs no quotes), prefix (keys, channels, topics)."""
    return names_of(slug(service_name, instance_id))


def names_of(found: str) -> dict:
    """The names that go with a slug."""
    return {"slug": found, "database": found.replace("-", "_"), "prefix": f"{found}:"}


def name_patterns(service_name: str) -> dict:
    """What names() and binding_username() make for a service, as regular expressions of whole names; `keys` is a glob, of Redis' kind.

    Whatever is named otherwise is not ours.
    """
    digits = "[0-9a-f]{12}"
    made = {
        "slug": f"{service_name}-{digits}",
        "database": f"{service_name.replace('-', '_')}_{digits}",
        "prefix": f"{service_name}-{digits}:",
    }
    return {**made, "username": f"b{digits}", "keys": f"{service_name}-{'[0-9a-f]' * 12}:*"}


def binding_username(instance_id: str, binding_id: str) -> str:
    """The account of one binding: b and 12 hex digits. Binding ids are only unique within their instance."""
    return "b" + hashlib.sha256(f"{instance_id}\0{binding_id}".encode()).hexdigest()[:12]


def needs(plan: Plan, parameters: dict) -> dict:
    """What an instance takes of its place: {"memory_gb": 0.5, "ports": ["client"], "copies": 1}. Raises ServiceError."""
    found = {"memory_gb": 0, "ports": [], "copies": 1, **_rendered(plan, "needs", {"parameters": redact(plan, parameters)})}
    for name, value in found.items():
        if name != "ports" and not (numbers.is_number(value) and value >= 0):
            raise ServiceError(plan.role, f"needs.{name}", f"{value!r} is not a number of at least 0")
    ports = found["ports"]
    if not isinstance(ports, list) or not all(isinstance(port, str) for port in ports) or len(set(ports)) < len(ports):
        raise ServiceError(plan.role, "needs.ports", f"{ports!r} is not a list of different names")
    if found["copies"] < 1 or found["copies"] != int(found["copies"]):
        raise ServiceError(plan.role, "needs.copies", f"{found['copies']!r} is not a whole number of at least 1")
    return {**found, "memory_gb": float(found["memory_gb"]), "copies": int(found["copies"])}


def connection(plan: Plan, instance: dict, parameters: dict) -> dict:
    """What a tenant may know at once. Neither secrets nor sensitive parameters can be read by its expressions. Raises ServiceError."""
    variables = {
        "instance": {name: value for name, value in instance.items() if name in INSTANCE_FIELDS},
        "parameters": redact(plan, parameters),
    }
    return {name: value for name, value in _rendered(plan, "connection", variables).items() if value is not None}


def dashboard_url(plan: Plan, instance: dict, parameters: dict) -> str | None:
    """Where people look at the instance, known at once like its connection; None where the service has none. Raises ServiceError."""
    if not plan.dashboard_url:
        return None
    return connection(dataclasses.replace(plan, connection={"dashboard_url": plan.dashboard_url}), instance, parameters).get(
        "dashboard_url"
    )


def check_late(plan: Plan, published: dict) -> None:
    """Raises ServiceError when a role adds a connection field that its description does not announce as `late`."""
    for name in published:
        if name not in plan.late:
            late = ", ".join(plan.late) or "none"
            raise ServiceError(
                plan.role, "connection.late", f"the role published connection field '{name}', which is not named there: {late}"
            )


def _rendered(plan: Plan, field: str, variables: dict) -> dict:
    try:
        return _as_json(plan.rendered(field, variables))
    except (expressions.ExpressionError, TypeError, ValueError) as error:
        raise ServiceError(plan.role, field, str(error)) from error


def _as_json(value):
    """A copy of it as JSON has it. What is JSON already is not written and read for that. Raises TypeError, ValueError."""
    kind = type(value)  # no other: a subclass may be written as something else
    if kind is dict and {type(name) for name in value} <= {str}:
        return {name: _as_json(inner) for name, inner in value.items()}
    if kind is list:
        return [_as_json(inner) for inner in value]
    if kind in (str, int, bool, type(None)) or (kind is float and math.isfinite(value)):
        return value
    return json.loads(_STRICT.encode(value))


def secrets(plan: Plan, parameters: dict, existing: dict | None = None) -> dict:
    """The instance's passwords: the tenant's own where given, else the existing one, else a new one of 192 random bits."""
    existing = existing or {}
    found = {}
    for name, secret in plan.secrets.items():
        chosen = parameters.get(secret.get("parameter", ""))
        found[name] = chosen or existing.get(name) or token_urlsafe(24)
    return found


def check_credentials(plan: Plan, credentials: dict) -> None:
    """Raises CredentialsError when credentials lack the shape the service promises. Its message holds no value of them."""
    errors = sorted(_credentials_validator(json.dumps(plan.credentials)).iter_errors(credentials), key=lambda error: str(error.json_path))
    if errors:
        raise CredentialsError(_credentials_text(errors[0]))


@functools.lru_cache(maxsize=64)
def _credentials_validator(schema: str):
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(schema))


def _credentials_text(error) -> str:
    place = ["credentials", *error.absolute_path]
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{checks.place_text([*place, missing])} is missing"
    if error.validator == "additionalProperties":
        return f"{checks.place_text(place)} has a field that its description does not have"
    return f"{checks.place_text(place)} {checks.limit_text(error.validator, error.validator_value, error.schema)}"
