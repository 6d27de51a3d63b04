"""What can be wrong with a service's description, a tenant's parameters or a binding's credentials.

Owns the texts' form: who reads them is shown names, limits and harmless values, never a sensitive value. When they are raised is the
business of the other service_* files; which HTTP status they become is the broker's.
"""

from __future__ import annotations

import json

SENSITIVE = "<sensitive>"
UNSHOWN = "<not shown>"  # there is no value (missing), or nobody knows whether it is a secret (unknown name)
SHOWN_CHARACTERS = 80


def shown(value) -> str:
    """One printable line for a value of a tenant: no terminal or log can be steered by it."""
    if isinstance(value, str) and value in (SENSITIVE, UNSHOWN):
        return value
    text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    return _printable(text)


def _printable(text: str) -> str:
    cut = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in cut)


class ServiceError(Exception):
    """A service's description is broken: `path` is its file, `field` the dotted place in it, `message` says what is wrong and allowed."""

    def __init__(self, path, field: str, message: str) -> None:
        self.path, self.field, self.message = str(path), field, message
        super().__init__(": ".join(part for part in (self.path, field, message) if part))


class ParameterError(Exception):
    """A parameter breaks its limit. `value` is as given, SENSITIVE or UNSHOWN; `limit` continues the sentence the value began."""

    def __init__(self, parameter: str, value, limit: str) -> None:
        self.parameter, self.value, self.limit = _printable(parameter), value, limit
        subject = f"parameter '{self.parameter}'" if self.parameter else "the parameters"
        said = "" if isinstance(value, str) and value == UNSHOWN else f": {shown(value)}"
        super().__init__(f"{subject}{said} {limit}")


class CredentialsError(Exception):
    """What a role published does not have the shape that the service promises. Never holds a value."""
