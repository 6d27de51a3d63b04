"""What surrounds an instance, as it was found when the rules are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from apb_controller.rules.parameters import Source
from apb_controller.rules.steps import Limits, Object


@dataclass(frozen=True)
class World:
    """`classes` and `plans` may be more than the instance means, never fewer: the rules look for its words in them."""

    now: datetime
    classes: Sequence[Object] = ()
    plans: Sequence[Object] = ()
    broker: Object | None = None
    namespace: Object | None = None
    bindings: Sequence[Object] = ()  # of this instance, those that are being deleted too
    secrets: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (name, key) of parametersFrom -> text
    cluster_id: str = ""
    new_id: str = ""  # an id that nothing has
    limits: Limits = field(default_factory=Limits)
    leading_since: datetime | None = None  # what was recorded before may have been sent by a controller that died
    has_plan_defaults: bool = False  # upstream's gate ServicePlanDefaults
    deletes_bindings: bool = False  # upstream's gate CascadingDeletion


def sources(spec: Object, secrets: Mapping[tuple[str, str], str]) -> list[Source]:
    """`parametersFrom` with what was found."""
    refs = [entry["secretKeyRef"] for entry in spec.get("parametersFrom") or []]
    return [Source(ref["name"], ref["key"], secrets.get((ref["name"], ref["key"]))) for ref in refs]
