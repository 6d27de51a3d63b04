"""What every look has at hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from apb_controller.kube.api import Api
from apb_controller.kube.events import Events
from apb_controller.reconcilers.known import Known
from apb_controller.rules.steps import Limits


class NotLeading(Exception):
    """Another controller may be working by now: this one writes and asks nothing any more."""


@dataclass(frozen=True)
class Settings:
    """What the operator can choose."""

    limits: Limits = field(default_factory=Limits)
    has_plan_defaults: bool = False
    deletes_bindings: bool = False


@dataclass
class Context:
    """Of one term as leader. `is_leading` is asked before each write and each call of a broker."""

    api: Api
    known: Known
    events: Events
    settings: Settings
    cluster_id: str
    leading_since: datetime | None
    is_leading: Callable[[], bool]

    def require_leading(self) -> None:
        """Raises NotLeading."""
        if not self.is_leading():
            raise NotLeading

    @staticmethod
    def now() -> datetime:
        """The time."""
        return datetime.now(UTC)
