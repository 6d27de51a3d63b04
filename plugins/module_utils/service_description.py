"""Reads a role's meta/service.yml into Service and Plan, refusing whatever does not make sense before any tenant can meet it.

Owns the two dataclasses, what keys mean together (a plan only narrows, expressions name known parameters, defaults and examples fit) and
the snapshot that lets an instance live on when its plan left the catalog. Key names and types are service_schema.py's.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import json
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import service_expressions as expressions
from ansible_collections.apb.catalog.plugins.module_utils import service_parameters as parameters
from ansible_collections.apb.catalog.plugins.module_utils import service_yaml
from ansible_collections.apb.catalog.plugins.module_utils.service_errors import ParameterError, ServiceError, shown
from ansible_collections.apb.catalog.plugins.module_utils.service_narrowing import narrowed
from ansible_collections.apb.catalog.plugins.module_utils.service_parameters import Checks
from ansible_collections.apb.catalog.plugins.module_utils.service_schema import SERVICE_SCHEMA
from ansible_collections.apb.catalog.plugins.module_utils.service_schemas import osb_schemas

INSTANCE_FIELDS = ("host", "id", "name", "names", "placement", "ports")  # what `connection` may read: nothing secret

LARGEST_SCHEMA_BYTES = 64_000

# The modes a plan's instances can be had in, the usual one first; roles have a folder of tasks for each.
MODES_OF = {"dedicated": ("host",), "shared": ("shared",), "user-provided": ()}


@dataclasses.dataclass(frozen=True)
class Plan:
    """One plan, with everything of its service that an instance needs for the rest of its life."""

    id: str
    name: str
    description: str | dict
    tenancy: str
    service_id: str
    service_name: str
    service_type: str
    role: str = ""
    version: str = ""
    free: bool = True
    metadata: dict = dataclasses.field(default_factory=dict)
    parameters: dict = dataclasses.field(default_factory=dict)  # {name: schema}, narrowed
    fixed: dict = dataclasses.field(default_factory=dict)  # what the plan sets
    updates_to: tuple = ()
    needs: dict = dataclasses.field(default_factory=dict)
    connection: dict = dataclasses.field(default_factory=dict)
    late: tuple = ()  # connection fields that the role publishes later
    bindable: bool = False
    bind_parameters: dict = dataclasses.field(default_factory=dict)  # {name: schema}
    credentials: dict = dataclasses.field(default_factory=dict)
    secrets: dict = dataclasses.field(default_factory=dict)
    rotatable: bool = False
    maintenance: dict = dataclasses.field(default_factory=dict)
    requires_app: bool = False
    dashboard_url: str = ""

    def snapshot(self) -> dict:
        """The plan as JSON, to be stored with an instance; plan_from_snapshot reads it.

        It holds all that counts for the instance, and nothing that is there to choose by: metadata, and titles and examples of parameters.
        """
        return json.loads(self.snapshot_text)

    @functools.cached_property
    def checks(self) -> Checks:
        """What checks an instance's parameters."""
        return Checks(self.parameters, self.fixed)

    @functools.cached_property
    def bind_checks(self) -> Checks:
        """What checks a binding's parameters."""
        return Checks(self.bind_parameters)

    @functools.cached_property
    def snapshot_text(self) -> bytes:
        """The snapshot as JSON text."""
        kept = {name: value for name, value in dataclasses.asdict(self).items() if name != "metadata"}
        kept["maintenance"] = _unexplained(self.maintenance)
        for name in ("parameters", "bind_parameters"):
            kept[name] = {parameter: _unexplained(schema) for parameter, schema in kept[name].items()}
        return json.dumps({"apb": 1, **kept}, separators=(",", ":")).encode()

    @functools.cached_property
    def public(self) -> frozenset:
        """The parameters that are known and nowhere sensitive: what the plan does not know might be a secret."""
        schemas = (*self.parameters.items(), *self.bind_parameters.items())
        known = {*self.fixed, *self.parameters, *self.bind_parameters}
        return frozenset(known.difference(name for name, schema in schemas if parameters.is_sensitive(schema)))

    def rendered(self, field: str, variables: dict) -> dict:
        """`needs` or `connection` with all expressions in it replaced. Raises ExpressionError."""
        if field not in self._compiled:
            self._compiled[field] = expressions.compiled(getattr(self, field))
        return self._compiled[field](variables)

    @functools.cached_property
    def _compiled(self) -> dict:
        return {}


@dataclasses.dataclass(frozen=True)
class Service:
    """One service as its role describes it."""

    name: str
    id: str
    description: str | dict
    category: str
    type: str
    plans: tuple
    role: str = ""
    version: str = ""
    tags: tuple = ()
    metadata: dict = dataclasses.field(default_factory=dict)
    bind: dict | None = None  # {"parameters": {name: schema}}; None when it cannot be bound
    credentials: dict = dataclasses.field(default_factory=dict)
    rotatable: bool = False
    maintenance: dict = dataclasses.field(default_factory=dict)
    secrets: dict = dataclasses.field(default_factory=dict)
    connection: dict = dataclasses.field(default_factory=dict)
    examples: tuple = ()

    @property
    def bindable(self) -> bool:
        """Whether it hands out credentials."""
        return self.bind is not None

    def plan(self, name: str) -> Plan:
        """The plan of this name. Raises KeyError."""
        found = next((plan for plan in self.plans if plan.name == name), None)
        if found is None:
            raise KeyError(f"service {self.name} has no plan {name}; it has {', '.join(plan.name for plan in self.plans)}")
        return found


def _unexplained(schema):
    """A schema without what people read of it; x-hint and x-unit stay, which refusals are made of."""
    if not isinstance(schema, dict):
        return schema
    kept = {name: value for name, value in schema.items() if name not in ("title", "description", "examples")}
    for name in ("items", "additionalProperties"):
        if name in kept:
            kept[name] = _unexplained(kept[name])
    if "properties" in kept:
        kept["properties"] = {name: _unexplained(inner) for name, inner in kept["properties"].items()}
    return kept


def plan_from_snapshot(snapshot: dict) -> Plan:
    """The plan a snapshot was taken of, with what it keeps. Fields of later versions are ignored, fields it lacks get their defaults."""
    known = {field.name for field in dataclasses.fields(Plan)}
    values = {name: copy.deepcopy(value) for name, value in snapshot.items() if name in known}
    return Plan(**{**values, "updates_to": tuple(values.get("updates_to", ())), "late": tuple(values.get("late", ()))})


def load(path, *, role: str = "", version: str = "") -> Service:
    """The service described by this service.yml. Raises ServiceError naming file, field and cure."""
    try:
        return _service(_read(Path(path)), role, version)
    except _Wrong as wrong:
        raise ServiceError(path, wrong.field, wrong.message) from wrong.__cause__


class _Wrong(Exception):
    """A ServiceError whose file is not known yet."""

    def __init__(self, field: str, message: str) -> None:
        self.field, self.message = field, message
        super().__init__(field, message)


def _read(path: Path) -> dict:
    try:
        raw = service_yaml.read(path)
    except service_yaml.YamlError as error:
        raise _Wrong("", str(error)) from error
    try:
        json.dumps(raw, allow_nan=False)
    except ValueError as error:
        raise _Wrong("", "holds .nan or .inf, which are no numbers of JSON") from error
    _check_shape(raw)
    return raw


def _check_shape(raw) -> None:
    import jsonschema

    validator = jsonschema.Draft202012Validator(SERVICE_SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    errors = sorted(validator.iter_errors(raw), key=lambda error: [str(part) for part in error.absolute_path])
    if errors:
        raise _wrong_shape(errors[0])


def _wrong_shape(error) -> _Wrong:
    while error.context:
        error = error.context[0]
    place = list(error.absolute_path)
    if error.validator == "additionalProperties":
        known = sorted(error.schema["properties"])
        key = next(name for name in error.instance if name not in known)
        near = difflib.get_close_matches(str(key), known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(known)}"
        return _Wrong(parameters.place_text([*place, key]), f"is unknown; {hint}")
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return _Wrong(parameters.place_text([*place, missing]), "is missing")
    if "propertyNames" in error.absolute_schema_path:
        return _Wrong(parameters.place_text([*place, error.instance]), f"is not a valid name (pattern {error.validator_value})")
    limit = parameters.limit_text(error.validator, error.validator_value, error.schema)
    return _Wrong(parameters.place_text(place), f"{shown(error.instance)} {limit}")


def _service(raw: dict, role: str, version: str) -> Service:
    all_parameters = {name: _parameter(f"parameters.{name}", schema) for name, schema in raw.get("parameters", {}).items()}
    bind = None
    if "bind" in raw:
        given = raw["bind"].get("parameters", {})
        bind = {"requires_app": raw["bind"].get("requires_app", False)}
        bind["parameters"] = {name: _parameter(f"bind.parameters.{name}", schema) for name, schema in given.items()}
    _check_credentials_schema("credentials", raw.get("credentials", {}))
    if bind is not None and "credentials" not in raw:
        raise _Wrong("credentials", "is missing: a service with `bind` says what a binding returns")
    _check_secrets(raw, all_parameters)
    plans = tuple(_plan(f"plans[{index}]", plan, raw, all_parameters, bind, role, version) for index, plan in enumerate(raw["plans"]))
    _check_plans_together(raw["plans"])
    service = Service(
        name=raw["name"],
        id=raw["id"],
        description=raw["description"],
        category=raw["category"],
        type=raw["type"],
        plans=plans,
        role=role,
        version=version,
        tags=tuple(raw.get("tags", ())),
        metadata=raw.get("metadata", {}),
        bind=bind,
        credentials=raw.get("credentials", {}),
        rotatable=raw.get("rotatable", False),
        maintenance=raw.get("maintenance", {}),
        secrets=raw.get("secrets", {}),
        connection={name: value for name, value in raw.get("connection", {}).items() if name != "late"},
        examples=tuple(raw.get("examples", ())),
    )
    _check_published_size(service)
    _check_examples(service)
    return service


def _plan(field: str, raw: dict, service: dict, all_parameters: dict, bind: dict | None, role: str, version: str) -> Plan:
    connection = dict(service.get("connection", {}))
    plan = Plan(
        id=raw["id"],
        name=raw["name"],
        description=raw["description"],
        tenancy=raw["tenancy"],
        service_id=service["id"],
        service_name=service["name"],
        service_type=service["type"],
        role=role,
        version=version,
        free=raw.get("free", True),
        metadata=raw.get("metadata", {}),
        parameters=_plan_parameters(field, raw["parameters"], all_parameters),
        fixed=_fixed(field, raw, all_parameters),
        updates_to=tuple(raw.get("updates_to", ())),
        needs=raw.get("needs", {}),
        late=tuple(connection.pop("late", ())),
        connection={**connection, **raw.get("connection", {})},
        bindable=bind is not None and raw.get("bindable", True),
        bind_parameters=bind["parameters"] if bind else {},
        requires_app=bind["requires_app"] if bind else False,
        credentials=_plan_credentials(field, raw, service),
        secrets=_plan_secrets(field, raw, service.get("secrets", {})),
        rotatable=raw.get("rotatable", service.get("rotatable", False)),
        maintenance=raw.get("maintenance", service.get("maintenance", {})),
        dashboard_url=raw.get("dashboard_url", service.get("dashboard_url", "")),
    )
    own = {name: schema for name, schema in all_parameters.items() if name in plan.parameters or name in plan.fixed}
    _check_expressions(f"{field}.needs", plan.needs, roots=("parameters",), declared=own)
    _check_expressions("connection", connection, roots=("instance", "parameters"), declared=all_parameters)
    _check_expressions(f"{field}.dashboard_url", {"": plan.dashboard_url}, roots=("instance", "parameters"), declared=own)
    _check_expressions(f"{field}.connection", raw.get("connection", {}), roots=("instance", "parameters"), declared=own)
    return plan


def _parameter(field: str, schema: dict) -> dict:
    """A checked copy of a parameter's schema, in which objects that list their properties take no others unless they say so."""
    schema = copy.deepcopy(schema)
    _close_and_check(field, schema)
    _check_default(field, schema)
    return schema


def _close_and_check(field: str, schema: dict) -> None:
    kind = schema["type"]
    bounded = any(key in schema for key in ("minimum", "exclusiveMinimum", "enum", "const"))
    if kind in ("number", "integer") and not bounded:
        raise _Wrong(field, "is a number without a minimum (say x-unlimited: true if -1 shall mean unlimited)")
    if "multipleOf" in schema and schema.get("x-step", schema["multipleOf"]) != schema["multipleOf"]:
        raise _Wrong(f"{field}.x-step", f"{schema['x-step']} differs from multipleOf: {schema['multipleOf']}")
    if kind == "object" and "properties" in schema:
        schema.setdefault("additionalProperties", False)
    for name, inner in schema.get("properties", {}).items():
        _close_and_check(f"{field}.properties.{name}", inner)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _close_and_check(f"{field}.{key}", schema[key])


def _check_default(field: str, schema: dict) -> None:
    if "default" not in schema:
        return
    if schema.get("x-sensitive"):
        raise _Wrong(f"{field}.default", "a sensitive parameter cannot have a default: it would be published")
    _check_value(f"{field}.default", schema, schema["default"])


def _check_value(field: str, schema: dict, value) -> None:
    try:
        Checks({"value": schema}).check({"value": value})
    except ParameterError as error:
        raise _Wrong(field, f"{shown(error.value)} {error.limit}") from error


def _plan_parameters(field: str, taken: dict, all_parameters: dict) -> dict:
    result = {}
    for name, limits in taken.items():
        place = f"{field}.parameters.{name}"
        if name not in all_parameters:
            raise _Wrong(place, _unknown_parameter(name, all_parameters))
        try:
            result[name] = narrowed(all_parameters[name], limits)
        except ValueError as error:
            raise _Wrong(f"{place}.{error.args[0]}", error.args[1]) from error
        _check_default(place, result[name])
    return result


def _unknown_parameter(name: str, all_parameters: dict) -> str:
    near = difflib.get_close_matches(name, list(all_parameters), 1)
    has = ", ".join(all_parameters) or "none"
    hint = f"did you mean '{near[0]}'?" if near else f"it has {has}"
    return f"is not a parameter of the service; {hint}"


def _fixed(field: str, raw: dict, all_parameters: dict) -> dict:
    for name, value in raw.get("set", {}).items():
        if name not in all_parameters:
            raise _Wrong(f"{field}.set.{name}", _unknown_parameter(name, all_parameters))
        if name in raw["parameters"]:
            raise _Wrong(f"{field}.set.{name}", "the plan both sets this parameter and takes it from tenants")
        if all_parameters[name].get("x-sensitive"):
            raise _Wrong(f"{field}.set.{name}", "a sensitive parameter cannot be set by a plan: all its instances would share the secret")
        _check_value(f"{field}.set.{name}", all_parameters[name], value)
    return Checks({name: all_parameters[name] for name in raw.get("set", {})}).check(raw.get("set", {}))


def _check_credentials_schema(field: str, schema: dict) -> None:
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise _Wrong(parameters.place_text([field, *error.absolute_path]), f"is not JSON Schema: {error.message}") from error
    if '"$ref"' in json.dumps(schema):
        raise _Wrong(field, "has a $ref; write the schema out")


def _plan_credentials(field: str, raw: dict, service: dict) -> dict:
    if "credentials" not in raw:
        return service.get("credentials", {})
    _check_credentials_schema(f"{field}.credentials", raw["credentials"])
    return {"allOf": [service.get("credentials", {}), raw["credentials"]]}


def _plan_secrets(field: str, raw: dict, all_secrets: dict) -> dict:
    for name in raw.get("secrets", ()):
        if name not in all_secrets:
            raise _Wrong(f"{field}.secrets", f"{name} is not a secret of the service; it has {', '.join(all_secrets) or 'none'}")
    return {name: secret for name, secret in all_secrets.items() if name in raw.get("secrets", all_secrets)}


def _check_secrets(raw: dict, all_parameters: dict) -> None:
    for name, secret in raw.get("secrets", {}).items():
        source = secret.get("parameter")
        if source is None:
            continue
        if source not in all_parameters:
            raise _Wrong(f"secrets.{name}.parameter", _unknown_parameter(source, all_parameters))
        if all_parameters[source]["type"] != "string" or not all_parameters[source].get("x-sensitive"):
            raise _Wrong(f"secrets.{name}.parameter", f"parameter '{source}' must be a string with x-sensitive: true")


def _check_plans_together(plans: list) -> None:
    for key in ("name", "id"):
        values = [plan[key] for plan in plans]
        for index, value in enumerate(values):
            if value in values[:index]:
                raise _Wrong(f"plans[{index}].{key}", f"{value} is used by another plan")
    tenancies = {plan["name"]: plan["tenancy"] for plan in plans}
    for index, plan in enumerate(plans):
        for target in plan.get("updates_to", ()):
            field = f"plans[{index}].updates_to"
            if target not in tenancies:
                raise _Wrong(field, f"{target} is not a plan of this service; it has {', '.join(sorted(tenancies))}")
            if tenancies[target] != plan["tenancy"]:
                raise _Wrong(field, f"{target} is {tenancies[target]} and {plan['name']} {plan['tenancy']}: data would not come along")


def _check_expressions(field: str, value, *, roots: tuple, declared: dict) -> None:
    try:
        read = sorted(expressions.paths(value))
    except expressions.ExpressionError as error:
        raise _Wrong(field, str(error)) from error
    for path in read:
        if path[0] not in roots:
            raise _Wrong(field, f"'{path[0]}' is unknown in an expression; allowed: {', '.join(roots)}")
        if path[0] == "instance" and len(path) > 1 and path[1] not in INSTANCE_FIELDS:
            raise _Wrong(field, f"'instance.{path[1]}' cannot be read; allowed: {', '.join(INSTANCE_FIELDS)}")
        if path[0] == "parameters" and len(path) > 1:
            _check_parameter_read(field, path[1], declared)


def _check_parameter_read(field: str, name: str, declared: dict) -> None:
    if name not in declared:
        raise _Wrong(field, f"'parameters.{name}': {_unknown_parameter(name, declared)}")
    if declared[name].get("x-sensitive"):
        raise _Wrong(field, f"'parameters.{name}' is sensitive and cannot be read here")


def _check_published_size(service: Service) -> None:
    """OSB 2.17, "Schemas Object": each schema at most 64 kB."""
    for index, plan in enumerate(service.plans):
        for uses in osb_schemas(plan).values():
            if any(len(json.dumps(schema).encode()) > LARGEST_SCHEMA_BYTES for schema in uses.values()):
                raise _Wrong(
                    f"plans[{index}].parameters", f"make a schema of more than {LARGEST_SCHEMA_BYTES} bytes, which platforms refuse"
                )


def _check_examples(service: Service) -> None:
    for index, example in enumerate(service.examples):
        field = f"examples[{index}]"
        plan = next((plan for plan in service.plans if plan.name == example["plan"]), None)
        if plan is None:
            raise _Wrong(f"{field}.plan", f"{example['plan']} is not a plan of this service")
        try:
            plan.checks.check(example.get("parameters", {}))
            plan.bind_checks.check(example.get("bind", {}))
            plan.checks.check(example.get("update", {}), fill=False)
        except ParameterError as error:
            raise _Wrong(field, str(error)) from error
