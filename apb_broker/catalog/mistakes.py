"""What is wrong in apb.yml, as one line for people: made of what pydantic found."""

import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]
Modes = Mapping[str, type[BaseModel]]


def sentence(detail: ErrorDetails, root: type[BaseModel], modes: Modes, in_words: Mapping[str, str]) -> str:
    """One line: field, value, what is allowed. `modes` are the models of targets, `in_words` says what patterns mean."""
    field = ".".join(str(part) for part in _without_tags(detail["loc"]) if part != "[key]") or "the file"
    if detail["type"] == "missing":
        return f"{field}: is missing"
    if detail["type"] == "union_tag_not_found":
        return f"{field}.mode: is missing; expected {' or '.join(modes)}"
    if detail["type"] == "union_tag_invalid":
        return f"{field}.mode: {_short(detail['ctx']['tag'])}: expected {' or '.join(modes)}"
    if detail["type"] == "extra_forbidden":
        return f"{field}: is unknown; {_known_keys(detail['loc'], root, modes)}"
    return f"{field}: {_short(detail['input'])}: {_allowed(detail, in_words)}"


def _allowed(detail: ErrorDetails, in_words: Mapping[str, str]) -> str:
    """What would have been right."""
    context = detail.get("ctx", {})
    if detail["type"] == "value_error":
        return f"expected {context['error']}"
    if detail["type"] == "string_pattern_mismatch":
        return f"expected {in_words[context['pattern']]}"
    if detail["type"] == "too_short":
        return "expected at least one"
    return detail["msg"].removeprefix("Input ")


def _short(value: Any) -> str:
    text = (
        "null"
        if value is None
        else repr(value)
        if not isinstance(value, dict)
        else f"an object with {', '.join(map(str, value)) or 'nothing'}"
    )
    return text if len(text) <= 80 else text[:79] + "…"


def _known_keys(place: Place, root: type[BaseModel], modes: Modes) -> str:
    known = [name for name, field in _model_at(place[:-1], root, modes).model_fields.items() if not field.exclude]
    near = difflib.get_close_matches(str(place[-1]), known, 1)
    return f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(known)}"


def _without_tags(place: Place) -> Place:
    """Where the mistake is in the file: pydantic adds the mode of a target after the target's name."""
    return (*place[:2], *place[3:]) if place[:1] == ("targets",) and len(place) > 2 else place


def _model_at(place: Place, root: type[BaseModel], modes: Modes) -> type[BaseModel]:
    kind: Any = root
    for part in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        elif isinstance(kind, types.GenericAlias):
            kind = typing.get_args(kind)[-1]  # the items of a list, the values of a dictionary
        else:  # a target, which its mode tells apart
            kind = modes[str(part)]
    if isinstance(kind, types.UnionType):  # what may be left out
        kind = next(member for member in typing.get_args(kind) if member is not types.NoneType)
    return typing.cast(type[BaseModel], kind)
