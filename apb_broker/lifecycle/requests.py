"""What a platform asks for, as the rules see it: already parsed, not yet judged."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Caller:
    """Who asks: the principal, who owns what it makes; the user, where the platform names one; how it named that user, as it was sent.

    `request_id` is the platform's name for this request, if it has one.
    """

    principal: str
    user: str
    identity: dict[str, Any] | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Provision:
    """Make an instance."""

    caller: Caller
    instance_id: str
    service_id: str
    plan_id: str
    organization: str
    space: str
    parameters: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    maintenance_version: str | None = None
    accepts_incomplete: bool = False


@dataclass(frozen=True)
class Update:
    """Change an instance. None means: leave as it is."""

    caller: Caller
    instance_id: str
    service_id: str
    plan_id: str | None = None
    parameters: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    maintenance_version: str | None = None
    accepts_incomplete: bool = False


@dataclass(frozen=True)
class Deprovision:
    """Remove an instance with its data."""

    caller: Caller
    instance_id: str
    accepts_incomplete: bool = False


@dataclass(frozen=True)
class Bind:
    """Make an account on an instance. With a predecessor it takes over that binding's parameters (a rotation); ids may be left out then."""

    caller: Caller
    instance_id: str
    binding_id: str
    service_id: str | None
    plan_id: str | None
    parameters: dict[str, Any] | None = None
    context: dict[str, Any] = field(default_factory=dict)
    app: str | None = None
    predecessor: str | None = None


@dataclass(frozen=True)
class Unbind:
    """Remove an account and close its connections."""

    caller: Caller
    instance_id: str
    binding_id: str


@dataclass(frozen=True)
class Accepted:
    """The answer to an accepted request.

    `operation_id` is None when there was nothing to do; `created` says whether this very request started the work.
    """

    operation_id: str | None
    created: bool
    connection: dict[str, Any] = field(default_factory=dict)
    dashboard_url: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
