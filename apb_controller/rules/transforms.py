"""`secretTransforms`: what is done to credentials before they become a Secret, and how values become bytes."""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Credentials = Mapping[str, Any]
Transform = Mapping[str, Any]
SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\['([^']+)'\]|\[(-?[0-9]+)\]")


class TransformError(ValueError):
    """The credentials cannot become a Secret. The message names keys, never a value."""


def applied(credentials: Credentials, transforms: Sequence[Transform], secrets: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The credentials after all transforms, in their order. `secrets`: of the binding's own namespace, name -> data in base64."""
    values = dict(credentials)
    for transform in transforms:
        _apply(values, transform, secrets)
    return values


def secret_data(values: Credentials) -> dict[str, str]:
    """The `data` of a Secret, in base64: texts as they are, bytes as they are, anything else as JSON."""
    for key in values:
        if not SECRET_KEY.fullmatch(key):
            raise TransformError(f'"{key}" cannot be a key of a Secret (letters, digits, "-", "_", "."); rename it by secretTransforms')
    return {key: base64.b64encode(_bytes(value)).decode() for key, value in values.items()}


def namespace_error(transforms: Sequence[Transform], namespace: str) -> str | None:
    """Why `addKeysFrom` is refused: Secrets of other namespaces are not the binding's to read, though the controller might."""
    for transform in transforms:
        ref = (transform.get("addKeysFrom") or {}).get("secretRef") or {}
        if ref.get("namespace") not in (None, "", namespace):
            return f'secretTransforms: secret "{ref["namespace"]}/{ref.get("name")}" is not in the namespace of the binding, "{namespace}"'
    return None


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _apply(values: dict[str, Any], transform: Transform, secrets: Mapping[str, Mapping[str, str]]) -> None:
    if rename := transform.get("renameKey"):
        if rename["from"] in values:
            values[rename["to"]] = values.pop(rename["from"])
    elif add := transform.get("addKey"):
        values[add["key"]] = _added(values, add)
    elif source := transform.get("addKeysFrom"):
        values.update(_of_secret(source["secretRef"]["name"], secrets))
    elif remove := transform.get("removeKey"):
        values.pop(remove["key"], None)


def _added(values: Credentials, add: Transform) -> Any:
    if add.get("stringValue") is not None:
        return add["stringValue"]
    if add.get("jsonPathExpression") is not None:
        return _EXPRESSION.sub(lambda found: _looked_up(values, found[1]), add["jsonPathExpression"])
    return _decoded(add.get("value") or "", f'addKey "{add["key"]}"')


def _looked_up(values: Credentials, path: str) -> str:
    """One `{.a.b[0]}`. Fields and indexes only: filters, ranges and wildcards would be a language to run for strangers."""
    steps = list(_STEP.finditer(path))
    if "".join(step[0] for step in steps) != path or not steps:
        raise TransformError(f"secretTransforms: {{{path}}} is no path of fields and indexes such as {{.host}} or {{.ports[0]}}")
    found: Any = values
    for name, quoted, index in (step.groups() for step in steps):
        try:
            found = found[int(index)] if index is not None and isinstance(found, list) else found[name or quoted]
        except (KeyError, IndexError, TypeError):
            raise TransformError(f"secretTransforms: the credentials have no {{{path}}}") from None
    return _bytes(found).decode(errors="replace")


def _of_secret(name: str, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, bytes]:
    if name not in secrets:
        raise TransformError(f'secretTransforms: there is no secret "{name}"')
    return {key: _decoded(value, f'secret "{name}", key "{key}"') for key, value in secrets[name].items()}


def _decoded(value: str, place: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise TransformError(f"secretTransforms: {place} is no base64") from None
