"""`catalogRestrictions`: which classes and plans of a catalog become objects. The language is that of label selectors."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apb_controller.scopes import Scope

_IN = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_COMPARED = re.compile(r"^(?P<key>[^\s=!<>]+)\s*(?P<operator>==|=|!=|>|<)\s*(?P<values>[^\s=!<>]*)$")
_THERE = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s=!<>(),]+)$")
_BETWEEN = re.compile(r",(?![^(]*\))")  # a comma that is not within brackets


class RestrictionError(ValueError):
    """A restriction cannot be read, or speaks of a property that there is not."""


@dataclass(frozen=True)
class Requirement:
    """One requirement: `key operator values`."""

    key: str
    operator: str  # in, notin, exists, missing, above, below
    values: tuple[str, ...] = ()

    def is_met_by(self, properties: Mapping[str, str]) -> bool:
        """Whether an object with these properties is meant."""
        value = properties.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "missing":
                return value is None
        if value is None or not _is_whole(value):
            return False
        bound = int(self.values[0])
        return int(value) > bound if self.operator == "above" else int(value) < bound


def class_properties() -> list[str]:
    """What a restriction of classes may speak of."""
    return ["name", "spec.externalName", "spec.externalID"]


def plan_properties(scope: Scope) -> list[str]:
    """What a restriction of plans may speak of."""
    return [*class_properties(), "spec.free", f"spec.{scope.class_field}.name"]


def read(restrictions: Iterable[str], properties: Iterable[str]) -> list[Requirement]:
    """All requirements; each has to be met. Raises RestrictionError."""
    known = set(properties)
    requirements = [_requirement(part.strip()) for restriction in restrictions for part in _BETWEEN.split(restriction)]
    for requirement in requirements:
        if requirement.key not in known:
            raise RestrictionError(f"Invalid property: {requirement.key}")
    return requirements


def are_met(requirements: Iterable[Requirement], properties: Mapping[str, str]) -> bool:
    """Whether an object with these properties becomes one."""
    return all(requirement.is_met_by(properties) for requirement in requirements)


def _requirement(text: str) -> Requirement:
    if found := _IN.match(text):
        return Requirement(found["key"], found["operator"], tuple(value.strip() for value in found["values"].split(",")))
    if found := _COMPARED.match(text):
        return _comparison(text, found["key"], found["operator"], found["values"])
    if found := _THERE.match(text):
        return Requirement(found["key"], "missing" if found["not"] else "exists")
    raise RestrictionError(
        f'catalogRestrictions: "{text}" is no requirement such as "spec.externalName in (a, b)", "name != a" or "spec.free=true"'
    )


def _comparison(text: str, key: str, operator: str, value: str) -> Requirement:
    if operator in ("=", "=="):
        return Requirement(key, "in", (value,))
    if operator == "!=":
        return Requirement(key, "notin", (value,))
    if not _is_whole(value):
        raise RestrictionError(f'catalogRestrictions: in "{text}" a whole number has to follow {operator}')
    return Requirement(key, "above" if operator == ">" else "below", (value,))


def _is_whole(value: str) -> bool:
    return re.fullmatch(r"-?[0-9]+", value) is not None
