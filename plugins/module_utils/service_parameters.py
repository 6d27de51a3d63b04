"""Checks what a tenant gives against parameter schemas. Parameters are never bent: they fit, or a ParameterError names the broken limit.

Works on plain dictionaries {name: JSON Schema}; which schemas apply to a plan is service.py's knowledge. Draft-07 without combinators
(anyOf, $ref …), plus x-unit, x-step (multipleOf by another name), x-unlimited (-1 stands outside all limits), x-required, x-multiline
and x-hint.
"""

from __future__ import annotations

import copy
import functools
import json
import unicodedata

from ansible_collections.apb.catalog.plugins.module_utils import service_numbers as numbers
from ansible_collections.apb.catalog.plugins.module_utils.service_errors import SENSITIVE, UNSHOWN, ParameterError, shown

LARGEST_BYTES = 65536
DEEPEST = 16
KNOWN, KNOWN_CHARACTERS = 256, 100  # what fitted before: at most so many, with no text longer than that
LINE_CHARACTERS = "\n\r\t"
_SCALARS = (int, float, bool, str, type(None))
ARTICLES = {"array": "a list", "boolean": "true or false", "integer": "a whole number", "number": "a number", "object": "an object"}


class Checks:
    """Checks against the schemas of one plan. Kept with the plan: what reads a schema is made once, not for each value."""

    def __init__(self, schemas: dict, fixed=()):
        """`fixed` names what the plan decides itself, for a better message."""
        self._schemas, self._fixed = schemas, fixed
        self._required = [name for name, schema in schemas.items() if schema.get("x-required")]
        self._validators: dict = {}
        self._fitting: dict = {}

    def check(self, given, *, fill: bool = True) -> dict:
        """The given parameters with numbers in canonical form and (unless fill is false) defaults added; `given` stays as it is.

        Raises ParameterError for the first thing that does not fit.
        """
        if not isinstance(given, dict):
            raise ParameterError("", UNSHOWN, "must be an object of names and values")
        _refuse_unknown(self._schemas, given, self._fixed)
        key = self._key(given, fill=fill)
        normal = None if key is None else self._fitting.get(key)
        if normal is None:
            normal = self._checked(given, fill=fill)
            if key is not None and all(type(value) in _SCALARS for value in normal.values()):
                self._remember(key, normal)
        return dict(normal)

    def _key(self, given: dict, *, fill: bool):
        """What was given, and nothing else is like it: sizes and modes are asked for again and again. None: it is not to be remembered."""
        for name, value in given.items():
            if type(value) not in _SCALARS or is_sensitive(self._schemas[name]):
                return None
            if isinstance(value, str) and len(value) > KNOWN_CHARACTERS:
                return None
        return (fill, *((name, type(value), value) for name, value in given.items()))

    def _remember(self, key, normal: dict) -> None:
        if len(self._fitting) >= KNOWN:
            self._fitting.clear()
        self._fitting[key] = normal

    def _checked(self, given: dict, *, fill: bool) -> dict:
        for name, value in given.items():
            _refuse_unkeepable(name, value, self._schemas[name], hidden=is_sensitive(self._schemas[name]))
        if len(json.dumps(given).encode()) > LARGEST_BYTES:
            raise ParameterError("", UNSHOWN, f"are larger than {LARGEST_BYTES // 1024} KiB altogether")
        normal = _normal_object(self._schemas, given, fill=fill)
        for name in self._required if fill else ():
            if name not in normal:
                raise ParameterError(name, UNSHOWN, "is required")
        for name in sorted(normal):
            self._refuse_broken_limits(name, normal[name], given)
        return normal

    def _refuse_broken_limits(self, name: str, value, given: dict) -> None:
        errors = sorted(self._validator(name).iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
        if errors:
            raise _parameter_error(name, self._schemas[name], given, errors[0])

    def _validator(self, name: str):
        if name not in self._validators:
            found = _validator_class()
            self._validators[name] = found(self._schemas[name], format_checker=found.FORMAT_CHECKER)
        return self._validators[name]


def is_sensitive(schema: dict) -> bool:
    """Whether values under this schema must never be shown."""
    return schema.get("x-sensitive") is True


def _refuse_unknown(schemas: dict, given: dict, fixed) -> None:
    for name in given:
        if not isinstance(name, str):
            raise ParameterError(str(name), UNSHOWN, "is not a name")
        if name in fixed:
            raise ParameterError(name, UNSHOWN, "is decided by the plan and cannot be given")
        if name not in schemas:
            takes = ", ".join(sorted(schemas)) or "no parameters here"
            raise ParameterError(name, UNSHOWN, f"is unknown; allowed: {takes}")


def _refuse_unkeepable(place: str, value, schema: dict, *, hidden: bool, depth: int = 1) -> None:
    """Refuse what JSON, a log line or a configuration file cannot carry, before any schema is asked."""
    seen = SENSITIVE if hidden else value
    if depth > DEEPEST:
        raise ParameterError(place.partition(".")[0], UNSHOWN, f"is nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        _refuse_unkeepable_text(place, value, seen, multiline=schema.get("x-multiline") is True)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ParameterError(place, UNSHOWN, "has a name that is not a string")
            _refuse_unkeepable_text(place, key, SENSITIVE if hidden else key)
            _refuse_unkeepable(f"{place}.{key}", inner, _schema_of(schema, key), hidden=hidden, depth=depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            _refuse_unkeepable(f"{place}[{index}]", inner, schema.get("items", {}), hidden=hidden, depth=depth + 1)
    elif isinstance(value, float) and not numbers.is_number(value):
        raise ParameterError(place, seen, "is not a number with a value")
    elif isinstance(value, int) and abs(value) >= 10**numbers.LONGEST:
        raise ParameterError(place, UNSHOWN, f"has more than {numbers.LONGEST} digits")
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise ParameterError(place, UNSHOWN, "is not a JSON value")


def _schema_of(schema: dict, key: str) -> dict:
    others = schema.get("additionalProperties")
    return schema.get("properties", {}).get(key) or (others if isinstance(others, dict) else {})


def _refuse_unkeepable_text(place: str, text: str, seen, *, multiline: bool = False) -> None:
    allowed = LINE_CHARACTERS if multiline else ""
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in allowed for character in text):
        raise ParameterError(place, seen, "holds a control character (a line break, NUL, escape …)")


def _normal_object(properties: dict, given: dict, *, fill: bool) -> dict:
    normal = {name: _normal(properties.get(name, {}), value) for name, value in given.items()}
    if fill:
        for name, schema in properties.items():
            if name not in normal and "default" in schema:
                normal[name] = _normal(schema, copy.deepcopy(schema["default"]))
    return normal


def _normal(schema: dict, value):
    """The value in the form it is compared and stored in; what does not fit stays for the validator to refuse."""
    kind = schema.get("type")
    if kind in ("number", "integer"):
        read = numbers.from_text(value) if isinstance(value, str) else value
        return numbers.canonical(read) if numbers.is_number(read) else value
    if kind == "array" and isinstance(value, (list, tuple)):
        return [_normal(schema.get("items", {}), inner) for inner in value]
    if kind == "object" and isinstance(value, dict):
        others = schema.get("additionalProperties")
        known = dict(schema.get("properties", {}))
        if isinstance(others, dict):
            known.update({name: others for name in value if name not in known})
        return _normal_object(known, value, fill=True)
    return value


def _parameter_error(name: str, schema: dict, given: dict, error) -> ParameterError:
    path = [name, *error.absolute_path]
    if error.validator == "required":
        path.append(next(name for name in error.validator_value if name not in error.instance))
        return ParameterError(place_text(path), UNSHOWN, "is required")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        path.append(next(name for name in error.instance if name not in known))
        return ParameterError(place_text(path), UNSHOWN, f"is unknown; allowed: {', '.join(sorted(known)) or 'none'}")
    value = SENSITIVE if is_sensitive(schema) else _as_given(given, error.instance, path)
    limit = limit_text(error.validator, error.validator_value, error.schema)
    if error.validator == "type" and error.validator_value in ("number", "integer") and isinstance(error.instance, str):
        limit += " in plain digits, at most 15 of them"
    return ParameterError(place_text(path), value, limit)


def _as_given(given, normal, path: list):
    """What the tenant wrote at this place, or the default that stands there."""
    value = given
    try:
        for part in path:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return normal
    return value


def place_text(path) -> str:
    """("a", 0, "b") as a[0].b."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def limit_text(keyword: str, limit, schema: dict) -> str:
    """The rest of the sentence "parameter 'x': VALUE …" for a broken JSON Schema keyword. Made of the schema alone, never of the value."""
    if not isinstance(schema, dict):
        return "is not allowed"
    unit = f" {schema['x-unit']}" if schema.get("x-unit") else ""
    if "x-hint" in schema and keyword in ("pattern", "format"):
        return f"is not {_english(schema['x-hint'])}"
    words = _LIMITS.get(keyword)
    return words(limit, unit, schema) if words else f"breaks the rule {keyword} of its description"


def _english(text) -> str:
    return text if isinstance(text, str) else text["en"]


def _kind_text(kinds, _unit, schema: dict) -> str:
    """For example: is not a number (or -1: unlimited)."""
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    also = " (or -1: unlimited)" if schema.get("x-unlimited") else ""
    return "is not " + " or ".join(ARTICLES.get(name, "a string" if name == "string" else name) for name in names) + also


_LIMITS = {
    "type": _kind_text,
    "minimum": lambda limit, unit, _: f"is below the minimum of {numbers.text(limit)}{unit}",
    "maximum": lambda limit, unit, _: f"is above the maximum of {numbers.text(limit)}{unit}",
    "exclusiveMinimum": lambda limit, unit, _: f"is not above {numbers.text(limit)}{unit}",
    "exclusiveMaximum": lambda limit, unit, _: f"is not below {numbers.text(limit)}{unit}",
    "multipleOf": lambda limit, unit, _: f"is not a multiple of {numbers.text(limit)}{unit}",
    "x-step": lambda limit, unit, _: f"is not a multiple of {numbers.text(limit)}{unit}",
    "enum": lambda limit, unit, _: f"is not one of {', '.join(shown(value) for value in limit)}",
    "const": lambda limit, unit, _: f"is not {shown(limit)}",
    "minLength": lambda limit, unit, _: f"is shorter than {limit} characters",
    "maxLength": lambda limit, unit, _: f"is longer than {limit} characters",
    "pattern": lambda limit, unit, _: f"does not match the pattern {limit}",
    "format": lambda limit, unit, _: f"is not in the form of: {limit}",
    "minItems": lambda limit, unit, _: f"has fewer than {limit} entries",
    "maxItems": lambda limit, unit, _: f"has more than {limit} entries",
    "uniqueItems": lambda limit, unit, _: "has the same entry twice",
    "minProperties": lambda limit, unit, _: f"has fewer than {limit} names",
    "maxProperties": lambda limit, unit, _: f"has more than {limit} names",
}


@functools.lru_cache(maxsize=1)
def _validator_class():
    """Draft-07 with exact arithmetic. Imported here, as a module's host need not have jsonschema for modules that never validate."""
    import jsonschema

    def numeric(is_broken):
        def rule(_validator, limit, value, schema):
            unlimited = schema.get("x-unlimited") is True and value == -1
            if numbers.is_number(value) and not unlimited and is_broken(value, limit):
                yield jsonschema.ValidationError("breaks a limit")

        return rule

    off_step = numeric(lambda value, step: not numbers.is_multiple(value, step))
    return jsonschema.validators.extend(
        jsonschema.Draft7Validator,
        {
            "minimum": numeric(lambda value, limit: numbers.exact(value) < numbers.exact(limit)),
            "maximum": numeric(lambda value, limit: numbers.exact(value) > numbers.exact(limit)),
            "exclusiveMinimum": numeric(lambda value, limit: numbers.exact(value) <= numbers.exact(limit)),
            "exclusiveMaximum": numeric(lambda value, limit: numbers.exact(value) >= numbers.exact(limit)),
            "multipleOf": off_step,
            "x-step": off_step,
        },
    )
