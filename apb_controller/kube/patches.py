"""JSON patches (RFC 6902) of objects, which are refused when the object has changed since it was read.

Not merge patches: those cannot write a null, which parameters may contain.
"""

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
Operations = list[dict[str, Any]]


def of_status(thing: Object, status: Mapping[str, Any]) -> Operations:
    """The whole new status."""
    return [*_only_if_same(thing), _add("/status", status)]


def of_content(thing: Object, metadata: Mapping[str, Any] | None = None, parts: Mapping[str, Any] | None = None) -> Operations:
    """Changes of the metadata, and of other parts by their paths (`spec.externalID`, `data`).

    Labels are added to those that are there; anything else is replaced.
    """
    operations = _only_if_same(thing)
    for name, value in (metadata or {}).items():
        old = thing["metadata"].get(name)
        operations.append(_add(f"/metadata/{name}", {**(old or {}), **value} if isinstance(value, Mapping) else value))
    operations += [_add("/" + path.replace(".", "/"), value) for path, value in (parts or {}).items()]
    return operations


def _only_if_same(thing: Object) -> Operations:
    """The server compares what these write with what it has: 409 otherwise."""
    return [{"op": "replace", "path": f"/metadata/{name}", "value": thing["metadata"][name]} for name in ("uid", "resourceVersion")]


def _add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}
