"""Moments and durations as they are written in objects."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_SECONDS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")


def written(moment: datetime) -> str:
    """RFC 3339, in UTC, whole seconds: what Kubernetes writes."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str | None) -> datetime | None:
    """The moment; None for what is empty or none, so that a status that somebody else wrote stops nothing."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def duration(text: str | None) -> timedelta | None:
    """A duration as Go writes it (1h30m); None for what is empty or none."""
    parts = _PART.findall(text or "")
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))


def has_passed(since: str | None, span: timedelta, now: datetime) -> bool:
    """Whether more than that time has passed; no, when nothing began."""
    began = read(since)
    return began is not None and now - began > span
