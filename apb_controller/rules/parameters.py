"""Parameters: what the spec says and Secrets add, how much of it may be shown, and when it has changed."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

REDACTED = "<redacted>"
Values = Mapping[str, Any]
# encoding/json of Go writes these so, and upstream's checksums are over that.
_ESCAPED_BY_GO = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_INTEGRAL_BELOW = 1e21


class ParametersError(ValueError):
    """The parameters cannot be put together. The message names Secrets and keys, never a value."""


@dataclass(frozen=True)
class Source:
    """One entry of `parametersFrom`, with the text that was found; None if the Secret or its key is missing."""

    secret: str
    key: str
    text: str | None


@dataclass(frozen=True)
class Parameters:
    """All parameters, and which of them are nobody's business."""

    values: dict[str, Any]
    secret: frozenset[str] = frozenset()

    @property
    def shown(self) -> dict[str, Any] | None:
        """What a status may hold; None when there are none."""
        return {name: REDACTED if name in self.secret else value for name, value in self.values.items()} or None

    @property
    def checksum(self) -> str | None:
        """SHA-256 in hex over all values, the secret ones too; None when there are none."""
        return checksum(self.values) if self.values else None


def merged(inline: Values | None, sources: Iterable[Source]) -> Parameters:
    """Joins them. A name that is given twice is an error, whoever gives it."""
    values = dict(inline or {})
    secret: set[str] = set()
    for source in sources:
        for name, value in _read(source).items():
            if name in values:
                raise ParametersError(f'conflict: duplicate entry for parameter "{name}"')
            values[name] = value
            secret.add(name)
    return Parameters(values, frozenset(secret))


def _read(source: Source) -> dict[str, Any]:
    if source.text is None:
        raise ParametersError(f'parametersFrom: there is no key "{source.key}" in secret "{source.secret}"')
    try:
        found = json.loads(source.text, parse_constant=_refused)
    except (ValueError, RecursionError):
        found = None  # not the parser's message: it may quote the value
    if not isinstance(found, dict):
        raise ParametersError(f'parametersFrom: key "{source.key}" of secret "{source.secret}" is no JSON object')
    return found


def _refused(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity, which Python reads and JSON has not


def with_defaults(of_class: Values | None, of_plan: Values | None, of_instance: Values | None) -> dict[str, Any]:
    """The instance's word counts before the plan's, the plan's before the class's; objects are joined, anything else replaced."""
    return _joined(_joined(of_class or {}, of_plan or {}), of_instance or {})


def _joined(below: Values, above: Values) -> dict[str, Any]:
    joined = dict(below)
    for name, value in above.items():
        old = joined.get(name)
        joined[name] = _joined(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return joined


def checksum(values: Values) -> str:
    """SHA-256 in hex of the JSON that Go writes, so that upstream's checksums stay true."""
    text = json.dumps(_numbered(values), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.translate(_ESCAPED_BY_GO).encode()).hexdigest()


def _numbered(value: Any) -> Any:
    """Whole numbers without a fraction: Go does not tell 1.0 from 1."""
    if isinstance(value, Mapping):
        return {str(name): _numbered(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_numbered(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _INTEGRAL_BELOW:
        return int(value)
    return value
