"""The list of conditions of a status."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apb_controller.rules import times

Condition = dict[str, Any]


def found(conditions: Sequence[Condition] | None, kind: str) -> Condition | None:
    """The condition of that type."""
    return next((condition for condition in conditions or () if condition.get("type") == kind), None)


def is_true(conditions: Sequence[Condition] | None, kind: str) -> bool:
    """Whether there is such a condition, and it is True."""
    return (found(conditions, kind) or {}).get("status") == "True"


def with_condition(
    conditions: Sequence[Condition] | None, kind: str, status: str, reason: str, message: str, now: datetime
) -> list[Condition]:
    """The list with that condition, at its old place if there was one. `lastTransitionTime` moves only when `status` changes."""
    before = found(conditions, kind)
    since = before.get("lastTransitionTime") if before and before.get("status") == status else None
    condition = {
        "type": kind,
        "status": status,
        "lastTransitionTime": since or times.written(now),
        "reason": reason,
        "message": message,
    }
    if before is None:
        return [*(conditions or ()), condition]
    return [condition if other is before else other for other in conditions or ()]


def without(conditions: Sequence[Condition] | None, kind: str) -> list[Condition]:
    """The list without that condition."""
    return [condition for condition in conditions or () if condition.get("type") != kind]


def last_state(conditions: Sequence[Condition] | None) -> str:
    """`lastConditionState`: of the last condition its type if it is True, otherwise its reason."""
    if not conditions:
        return ""
    last = conditions[-1]
    return str(last.get("type") if last.get("status") == "True" else last.get("reason"))
