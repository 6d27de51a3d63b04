"""What lint has to say: one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from apb_broker.authoring.role import Role


@dataclass(frozen=True, order=True)
class Finding:
    """A place, and a sentence with the cure."""

    path: Path
    line: int
    message: str


@dataclass(frozen=True)
class Rule:
    """A rule by the name of its function. A warning does not fail."""

    check: Callable[[Role], Iterator[Finding]]
    is_warning: bool = False

    @property
    def name(self) -> str:
        """As it is shown: task-files."""
        return self.check.__name__.replace("_", "-")

    @property
    def meaning(self) -> str:
        """What it asks for."""
        return " ".join((self.check.__doc__ or "").split())
