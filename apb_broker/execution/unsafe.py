"""Tenants' values on their way to Ansible: never templates, and no key that Ansible's JSON reader would take for one of its own types.

Ansible reads an extra-vars file as JSON, where {"__ansible_unsafe": "..."} is a string that is never templated. When
that fails *for any reason* it reads the same text as YAML, where every string is a template again: a tenant's key
`__ansible_vault` would be enough. So such keys are refused, and the file starts with a tab, which JSON ignores and
YAML forbids: if JSON reading fails, the run fails.

Keys: Ansible never templates keys of JSON variables, and a key taken out of a dictionary (`apb_parameters | first`)
is not trusted as a template either.
"""

import json
from typing import Any

MAX_DEPTH = 64


class UnsafeError(ValueError):
    """A value or key that cannot be given to Ansible safely."""


def check(variables: dict[str, Any]) -> None:
    """Raise UnsafeError unless `variables` (names to JSON values) can be handed to Ansible as plain data."""
    for name, value in variables.items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("ansible_"):
            raise UnsafeError(f"{name!r} is no variable name a caller may set")
        _check_key(name)
        _check_value(value, name, depth=1)


def _check_value(value: Any, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UnsafeError(f"{where.split('.')[0]} is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_key(key)
            _check_value(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_value(item, where, depth + 1)
    elif not (value is None or isinstance(value, bool | int | float)):
        raise UnsafeError(f"{where} is a {type(value).__name__}, not a JSON value")


def _check_key(key: Any) -> None:
    if not isinstance(key, str):
        raise UnsafeError(f"the key {key!r} is not a string")
    _check_text(key, "a key")
    if key.startswith("__ansible"):
        raise UnsafeError(f"the key {key!r} has a meaning of its own for Ansible")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnsafeError(f"{where} holds half of a surrogate pair, which is no text") from None


def wrap(value: Any) -> Any:
    """The value with every string in it, at any depth, marked as unsafe; keys stay as they are."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [wrap(item) for item in value]
    return value


def extravars(settings: dict[str, Any], variables: dict[str, Any]) -> str:
    """The text of an extra-vars file: the operator's settings as they are, the caller's variables wrapped; the latter win."""
    check(variables)
    merged = {**settings, **{name: wrap(value) for name, value in variables.items()}}
    return "\t" + json.dumps(merged, allow_nan=False)
