"""The words of a structural schema: what a field holds, its description, and rules that the API server itself checks (CEL).

Fields are nullable nowhere in a spec; in a status they are where upstream's Go types write `null` for what is empty.
Lists and texts that a rule looks at have a bound: the API server refuses definitions whose rules might be expensive.
"""

from typing import Any

Schema = dict[str, Any]
Rule = dict[str, str]
MOST_SOURCES = 256  # of parametersFrom and secretTransforms; upstream has no bound, the cost of a rule needs one
LONGEST_TEXT = 10_000  # characters of a text that rules compare


def text(description: str, **more: Any) -> Schema:
    """A string."""
    return {"description": description, "type": "string", **more}


def flag(description: str, **more: Any) -> Schema:
    """A boolean."""
    return {"description": description, "type": "boolean", **more}


def number(description: str, **more: Any) -> Schema:
    """A whole number of 64 bits, at least 0."""
    return {"description": description, "type": "integer", "format": "int64", "minimum": 0, **more}


def time(description: str) -> Schema:
    """A moment, as RFC 3339."""
    return text(description, format="date-time", nullable=True)


def duration(description: str, **more: Any) -> Schema:
    """A duration as Go writes them: 90s, 24h, 1h30m."""
    return text(description, maxLength=64, pattern=r"^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$", **more)


def data(description: str) -> Schema:
    """Bytes, in base64."""
    return text(description, format="byte")


def texts(description: str, **more: Any) -> Schema:
    """A list of strings."""
    return {"description": description, "type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic", **more}


def free(description: str, **more: Any) -> Schema:
    """An object of any content."""
    return {"description": description, "type": "object", "x-kubernetes-preserve-unknown-fields": True, **more}


def items(description: str, item: Schema, **more: Any) -> Schema:
    """A list that is replaced as a whole."""
    return {"description": description, "type": "array", "items": item, "x-kubernetes-list-type": "atomic", **more}


def record(description: str, properties: dict[str, Schema], rules: list[Rule] | None = None, **more: Any) -> Schema:
    """An object of known fields."""
    validations = {"x-kubernetes-validations": rules} if rules else {}
    return {"description": description, "type": "object", "properties": properties, **validations, **more}


def reference(description: str) -> Schema:
    """`{name}`: an object whose kind is known from the field."""
    return record(description, {"name": text("The Kubernetes name of the object.", maxLength=253)})


def rule(expression: str, message: str, path: str | None = None) -> Rule:
    """A CEL rule of `x-kubernetes-validations`; `path` is the field that the error names."""
    return {"rule": expression, "message": message, **({"fieldPath": path} if path else {})}


def required(name: str, message: str | None = None) -> Rule:
    """A text must be there and not be empty. By a rule, not by `required`: that is how upstream's sentence is said."""
    return rule(given(name), message or f"{name} is required")


def immutable(name: str, message: str = "field is immutable") -> Rule:
    """A text, once given, stays. Absent and empty are the same: Go clients write either."""
    return rule(f"!{given(name, 'oldSelf')} || ({given(name)} && self.{name} == oldSelf.{name})", message)


def given(name: str, of: str = "self") -> str:
    """The CEL of "this text is there and not empty"."""
    return f"(has({of}.{name}) && {of}.{name} != '')"


def exactly_one(names: list[str], message: str) -> Rule:
    """Exactly one of some objects or lists is there."""
    return rule(f"[{', '.join(f'has(self.{name})' for name in names)}].filter(present, present).size() == 1", message)
