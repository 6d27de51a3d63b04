"""What a platform asks for, as the rules see it: already parsed, not yet judged."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Provision:
    """Make an instance."""

    instance_id: str
    service_id: str
    plan_id: str
    organization: str
    space: str
    requested_by: str
    parameters: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    accepts_incomplete: bool = False


@dataclass(frozen=True)
class Update:
    """Change an instance. None means: leave as it is."""

    instance_id: str
    service_id: str
    requested_by: str
    plan_id: str | None = None
    parameters: dict[str, Any] | None = None
    accepts_incomplete: bool = False


@dataclass(frozen=True)
class Deprovision:
    """Remove an instance with its data."""

    instance_id: str
    requested_by: str
    accepts_incomplete: bool = False


@dataclass(frozen=True)
class Bind:
    """Make an account on an instance."""

    instance_id: str
    binding_id: str
    service_id: str
    plan_id: str
    requested_by: str
    parameters: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unbind:
    """Remove an account and close its connections."""

    instance_id: str
    binding_id: str
    requested_by: str


@dataclass(frozen=True)
class Accepted:
    """The answer to an accepted request.

    `operation_id` is None when there was nothing to do; `created` says whether this very request started the work.
    """

    operation_id: str | None
    created: bool
    connection: dict[str, Any] = field(default_factory=dict)
    dashboard_url: str | None = None
