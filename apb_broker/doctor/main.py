"""`apb doctor`: one examination of a state directory's broker, and one removal if it is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apb_broker import assembly, execution
from apb_broker.doctor import removal, surveys
from apb_broker.doctor.surveys import Examination
from apb_broker.lifecycle.broker import Broker


@dataclass(frozen=True)
class Report:
    """What was found, and with a removal: what is gone since, what could not be removed and why."""

    examination: Examination
    removed: tuple[Any, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "findings": [finding.document for finding in self.examination.findings],
            "removed": [finding.document for finding in self.removed],
            "problems": list(self.problems),
            "unseen": self.examination.unseen,
            "blind": self.examination.blind,
        }


def run(state_dir: Path | None = None, *, remove: bool = False, unknown: bool = False) -> Report:
    """Examines the broker of this state directory, in a process that does nothing else. Only from the main thread."""
    execution.become_subreaper()
    return examine(assembly.assemble(state_dir).broker, remove=remove, unknown=unknown)


def examine(broker: Broker, *, remove: bool = False, unknown: bool = False) -> Report:
    """Looks; removes what is left over, if it is asked to, and looks again."""
    first = surveys.examine(broker)
    if not remove:
        return Report(first)
    problems = removal.remove(broker, first.findings, unknown=unknown)
    second = surveys.examine(broker)
    removed = [finding for finding in first.findings if finding.document not in [left.document for left in second.findings]]
    return Report(second, tuple(removed), tuple(problems))
