"""Parameter schemas as platforms see them (Open Service Broker "Schemas Object": draft-07, $schema present, no references, at most 64 kB).

Published schemas must never refuse what the broker accepts: a step of 0.1 is therefore published as x-step, since validators that
divide binary floats find 0.3 not to be a multiple of 0.1, and -1 is shown as an alternative where it means unlimited.
"""

from __future__ import annotations

DRAFT = "http://json-schema.org/draft-07/schema#"
LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def osb_schemas(plan, language: str = "en") -> dict:
    """The plan's `schemas` in a catalog."""
    changeable = {
        name: {key: value for key, value in schema.items() if key != "default"}
        for name, schema in plan.parameters.items()
        if schema.get("x-updatable")
    }
    schemas = {
        "service_instance": {
            "create": {"parameters": _object(plan.parameters, language)},
            "update": {"parameters": _object(changeable, language, requires=False)},
        }
    }
    if plan.bindable:
        schemas["service_binding"] = {"create": {"parameters": _object(plan.bind_parameters, language)}}
    return schemas


def customize(plan, language: str = "en") -> dict:
    """The plan's `metadata.customize`: {key: {default, max, price, unit, step, desc}}, for the forms that older platforms draw.

    Its readers know numbers only, so it holds the numbers a tenant may choose; -1 as max means unlimited.
    """
    numbers = {name: schema for name, schema in plan.parameters.items() if schema["type"] in ("number", "integer")}
    return {name: _customized(schema, language) for name, schema in numbers.items()}


def _customized(schema: dict, language: str) -> dict:
    return {
        "default": schema.get("default", schema.get("minimum", 0)),
        "max": -1 if schema.get("x-unlimited") else schema.get("maximum", -1),
        "price": schema.get("x-price", 0),
        "unit": schema.get("x-unit", ""),
        "step": schema.get("multipleOf", schema.get("x-step", 1)),
        "desc": text(schema.get("description") or schema.get("title") or "", language),
    }


def text(value, language: str = "en") -> str:
    """One language of a text that may be a plain string."""
    return value if isinstance(value, str) else value.get(language) or value["en"]


def _object(properties: dict, language: str, *, requires: bool = True) -> dict:
    published = {
        "$schema": DRAFT,
        "type": "object",
        "properties": {name: _published(schema, language) for name, schema in properties.items()},
        "additionalProperties": False,
    }
    required = sorted(name for name, schema in properties.items() if schema.get("x-required"))
    return {**published, "required": required} if required and requires else published


def _published(schema: dict, language: str) -> dict:
    shown = {key: value for key, value in schema.items() if key not in ("x-required", "x-hint")}
    for key in ("title", "description"):
        if key in shown:
            shown[key] = text(shown[key], language)
    if not isinstance(shown.get("multipleOf", 1), int):
        shown["x-step"] = shown.pop("multipleOf")
    if shown.get("x-sensitive"):
        shown["writeOnly"] = True
    if "properties" in shown:
        shown["properties"] = {name: _published(inner, language) for name, inner in shown["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(shown.get(key), dict):
            shown[key] = _published(shown[key], language)
    return _with_unlimited(shown) if shown.get("x-unlimited") else shown


def _with_unlimited(schema: dict) -> dict:
    limits = {key: schema[key] for key in LIMITS if key in schema}
    rest = {key: value for key, value in schema.items() if key not in LIMITS}
    return {**rest, "anyOf": [limits, {"const": -1}]}
