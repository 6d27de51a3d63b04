"""The JSON Schema of service.yml (format `apb: 1`), as published in docs/schemas/service.schema.json.

Owns which keys exist and of what type they are. What keys mean together (a plan may only narrow, expressions must name known parameters) is
service_description.py's. Python rather than a JSON file, because Ansible ships only Python to the hosts where modules run.
"""

from __future__ import annotations

NAME = {
    "type": "string",
    "pattern": "^[a-z][a-z0-9-]{0,39}$",
    "description": "Lower-case letters, digits and hyphens; at most 40 characters",
}
PARAMETER_NAME = "^[A-Za-z][A-Za-z0-9_-]{0,62}$"
FIELD_NAME = "^[a-z][a-z0-9_]{0,62}$"
ID = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "description": "A UUID. Stable for ever, and never reused for something else",
}
SEMVER = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
TEXT = {"$ref": "#/$defs/text"}
VALUE = {"type": ["string", "number", "boolean", "null", "array", "object"]}


def _closed(properties: dict, *, required=(), **more) -> dict:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False, **more}


def _map(names: str, values: dict, **more) -> dict:
    return {"type": "object", "propertyNames": {"pattern": names}, "additionalProperties": values, **more}


COUNT = {"type": "integer", "minimum": 0}
FLAG = {"type": "boolean"}

# What a value may look like: a part of JSON Schema draft-07 that can be checked, narrowed, shown as a form and published without surprises.
VALUE_KEYWORDS = {
    "title": TEXT,
    "description": TEXT,
    "enum": {"type": "array", "minItems": 1},
    "const": VALUE,
    "default": VALUE,
    "examples": {"type": "array"},
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "exclusiveMinimum": {"type": "number"},
    "exclusiveMaximum": {"type": "number"},
    "multipleOf": {"type": "number", "exclusiveMinimum": 0, "description": "The step; checked in decimal arithmetic"},
    "minLength": COUNT,
    "maxLength": COUNT,
    "pattern": {"type": "string", "format": "regex"},
    "format": {"enum": ["date", "email", "ipv4", "ipv6", "uuid"]},
    "minItems": COUNT,
    "maxItems": COUNT,
    "uniqueItems": FLAG,
    "minProperties": COUNT,
    "maxProperties": COUNT,
    "x-unit": {"type": "string"},
    "x-step": {"type": "number", "exclusiveMinimum": 0, "description": "multipleOf by another name"},
    "x-unlimited": {"type": "boolean", "description": "-1 is accepted and means: no limit"},
    "x-multiline": {"type": "boolean", "description": "Line breaks and tabs may stand in it, which no other value may hold"},
    "x-hint": {"$ref": "#/$defs/text", "description": "What pattern or format asks for, in words that follow 'is not'"},
}

PARAMETER_ONLY = {
    "x-price": {"type": "number", "minimum": 0, "description": "Price of one step"},
    "x-updatable": {"type": "boolean", "description": "May be changed while the instance lives"},
    "x-sensitive": {"type": "boolean", "description": "Never shown, logged or published; encrypted at rest"},
    "x-required": {"type": "boolean", "description": "Must be given"},
}

NESTED = {
    "items": {"$ref": "#/$defs/value"},
    "properties": _map(PARAMETER_NAME, {"$ref": "#/$defs/value"}),
    "required": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    "additionalProperties": {"type": ["boolean", "object"], "if": {"type": "object"}, "then": {"$ref": "#/$defs/value"}},
}
TYPE = {"type": {"enum": ["boolean", "integer", "number", "string", "array", "object"]}}

# A plan takes a service's parameter with other texts and tighter limits; shape and type stay.
NARROWING = {
    key: value for key, value in {**VALUE_KEYWORDS, **PARAMETER_ONLY}.items() if key not in ("x-unit", "x-sensitive", "format", "const")
}

EXAMPLE = _closed(
    {
        "name": NAME,
        "plan": NAME,
        "parameters": _map(PARAMETER_NAME, VALUE),
        "bind": _map(PARAMETER_NAME, VALUE),
        "update": _map(PARAMETER_NAME, VALUE),
    },
    required=("name", "plan"),
)

MAINTENANCE = _closed({"version": {"type": "string", "pattern": SEMVER}, "description": TEXT}, required=("version",))
DASHBOARD = {"type": "string", "minLength": 1, "description": "Where people look at an instance: an expression like those of connection"}

PLAN = _closed(
    {
        "name": NAME,
        "id": ID,
        "description": TEXT,
        "tenancy": {"enum": ["dedicated", "shared", "user-provided"]},
        "free": FLAG,
        "metadata": _closed(
            {
                "displayName": TEXT,
                "bullets": {"type": "array", "items": TEXT},
                "costs": {
                    "type": "array",
                    "items": _closed(
                        {"amount": _map("^[a-z]{3}$", {"type": "number"}), "unit": {"type": "string"}}, required=("amount", "unit")
                    ),
                },
            }
        ),
        "parameters": _map(
            PARAMETER_NAME, {"$ref": "#/$defs/narrowing"}, description="Which of the service's parameters it takes, narrowed"
        ),
        "set": _map(PARAMETER_NAME, VALUE, description="Parameters the plan decides; tenants cannot give them"),
        "updates_to": {"type": "array", "items": NAME, "uniqueItems": True, "description": "Plans an instance may move to with its data"},
        "needs": {"$ref": "#/$defs/needs"},
        "connection": _map(FIELD_NAME, VALUE, description="Added to the service's connection"),
        "secrets": {
            "type": "array",
            "items": {"type": "string"},
            "uniqueItems": True,
            "description": "Which of the service's secrets an instance of this plan needs; all of them by default",
        },
        "credentials": {"type": "object", "description": "JSON Schema (2020-12) that has to hold besides the service's"},
        "bindable": {**FLAG, "description": "false: nothing can be bound to instances of this plan, unlike the service's others"},
        "rotatable": {**FLAG, "description": "Instead of the service's"},
        "maintenance": {**MAINTENANCE, "description": "Instead of the service's"},
        "dashboard_url": {**DASHBOARD, "description": "Instead of the service's"},
    },
    required=("name", "id", "description", "tenancy", "parameters"),
)

SERVICE_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "apb service description (meta/service.yml of a role)",
    **_closed(
        {
            "apb": {"const": 1, "description": "Version of this format"},
            "name": NAME,
            "id": ID,
            "category": {"enum": ["storage", "messaging", "analytics", "prediction", "coordination", "observability", "other"]},
            "type": {"type": "string", "minLength": 1, "description": "Type of a servicebinding.io secret"},
            "description": TEXT,
            "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True},
            "metadata": _closed(
                {
                    "displayName": TEXT,
                    "longDescription": TEXT,
                    "providerDisplayName": TEXT,
                    "documentationUrl": {"type": "string"},
                    "supportUrl": {"type": "string"},
                    "imageUrl": {"type": "string", "description": "A URL, or a file of the role"},
                }
            ),
            "parameters": _map(PARAMETER_NAME, {"$ref": "#/$defs/parameter"}),
            "plans": {"type": "array", "minItems": 1, "items": PLAN},
            "secrets": _map(
                FIELD_NAME,
                _closed({"parameter": {"type": "string", "description": "This parameter's value instead, when a tenant gives it"}}),
                description="Passwords made once per instance, before anything runs",
            ),
            "connection": {
                "type": "object",
                "properties": {"late": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
                "propertyNames": {"pattern": FIELD_NAME},
                "additionalProperties": VALUE,
                "description": "What a tenant may know at once; never secret. `late` names what the role publishes later",
            },
            "bind": _closed(
                {
                    "parameters": _map(PARAMETER_NAME, {"$ref": "#/$defs/parameter"}),
                    "requires_app": {**FLAG, "description": "A binding is for an application, which the platform has to name"},
                }
            ),
            "credentials": {"type": "object", "description": "JSON Schema (2020-12) of what a binding returns"},
            "rotatable": FLAG,
            "maintenance": MAINTENANCE,
            "dashboard_url": DASHBOARD,
            "examples": {"type": "array", "items": EXAMPLE},
        },
        required=("apb", "name", "id", "description", "category", "type", "plans"),
    ),
    "$defs": {
        "text": {
            "type": ["string", "object"],
            "minLength": 1,
            "required": ["en"],
            "propertyNames": {"pattern": "^[a-z]{2}(-[A-Z]{2})?$"},
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "A string, or one per language (en at least)",
        },
        "needs": _closed(
            {key: {"type": ["number", "string"]} for key in ("memory_gb", "disk_gb", "cpus", "copies")}
            | {"ports": {"type": ["array", "string"], "items": {"type": "string", "pattern": FIELD_NAME}}},
            description="What an instance takes of its place; numbers or {{ expressions }} over `parameters`",
        ),
        "value": _closed({**TYPE, **VALUE_KEYWORDS, **NESTED}, required=("type",)),
        "parameter": _closed({**TYPE, **VALUE_KEYWORDS, **PARAMETER_ONLY, **NESTED}, required=("type",)),
        "narrowing": _closed(NARROWING),
    },
}
