"""Bodies of answers to platforms (OSB 2.17). Fields that may be missing are not known to older versions, or there is nothing to say."""

from typing import Annotated, Any, Literal

from pydantic import Field

from apb_broker.web.answers import Answer

NonEmpty = Annotated[str, Field(min_length=1)]
OperationId = Annotated[str, Field(min_length=1, max_length=10_000, description="What last_operation is asked for")]
Connection = Annotated[dict[str, Any], Field(description="Where the instance is, or will be: host, port. Never secret; no part of OSB")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\dZ$", description="UTC")]


class Parameters(Answer):
    """A JSON Schema (draft-04 or newer) of the parameters that a request takes."""

    parameters: dict[str, Any]


class InstanceSchemas(Answer):
    """Of requests about instances."""

    create: Parameters
    update: Parameters


class BindingSchemas(Answer):
    """Of requests about bindings."""

    create: Parameters


class PlanSchemas(Answer):
    """The schemas of a plan's parameters; a request's are checked against them."""

    service_instance: InstanceSchemas
    service_binding: BindingSchemas | None = None


class MaintenanceVersion(Answer):
    """The maintenance version of an instance."""

    version: NonEmpty


class PlanMaintenance(MaintenanceVersion):
    """The maintenance version of a plan."""

    description: str | None = None


class Plan(Answer):
    """A plan of the catalog."""

    id: NonEmpty
    name: NonEmpty
    description: NonEmpty
    metadata: dict[str, Any]
    free: bool
    bindable: bool
    binding_rotatable: bool | None = None
    plan_updateable: bool | None = None
    schemas: PlanSchemas
    maximum_polling_duration: Annotated[int, Field(gt=0, description="Seconds")] | None = None
    maintenance_info: PlanMaintenance | None = None


class Service(Answer):
    """A service of the catalog."""

    id: NonEmpty
    name: NonEmpty
    description: NonEmpty
    tags: list[str]
    bindable: bool
    instances_retrievable: bool | None = None
    bindings_retrievable: bool | None = None
    allow_context_updates: bool | None = None
    plan_updateable: bool
    metadata: dict[str, Any]
    plans: list[Plan] = Field(min_length=1)


class Catalog(Answer):
    """What is offered."""

    services: list[Service]


class InstanceMetadata(Answer):
    """What to choose an instance by, and what to know it by."""

    labels: dict[str, str]
    attributes: dict[str, str]


class InstanceUnchanged(Answer):
    """There was nothing to do: the instance is as it was asked for."""

    dashboard_url: str | None = None
    apb_connection: Connection | None = None
    metadata: InstanceMetadata | None = None


class InstanceAccepted(InstanceUnchanged):
    """Work on the instance is in progress."""

    operation: OperationId


class Accepted(Answer):
    """Work is in progress."""

    operation: OperationId


class Done(Answer):
    """Nothing is left to be said."""


class Instance(Answer):
    """An instance; parameters without the sensitive ones."""

    service_id: NonEmpty
    plan_id: NonEmpty
    dashboard_url: str | None = None
    parameters: dict[str, Any]
    apb_connection: Connection
    maintenance_info: MaintenanceVersion | None = None
    metadata: InstanceMetadata | None = None


class Endpoint(Answer):
    """Where credentials are used."""

    host: NonEmpty
    ports: list[Annotated[str, Field(pattern=r"^\d+(-\d+)?$")]] = Field(min_length=1)
    protocol: Literal["tcp", "udp", "all"]


class BindingMetadata(Answer):
    """Until when a binding is valid, and when to have rotated it."""

    expires_at: Time
    renew_before: Time


class MadeBinding(Answer):
    """A binding with its credentials, which the catalog's service describes."""

    credentials: dict[str, Any]
    endpoints: list[Endpoint] | None = None
    metadata: BindingMetadata | None = None


class Binding(MadeBinding):
    """A binding as it is fetched."""

    parameters: dict[str, Any]


class LastOperation(Answer):
    """How an operation stands."""

    state: Literal["in progress", "succeeded", "failed"]
    description: NonEmpty
    instance_usable: Annotated[bool, Field(description="After a failed update or deprovision only")] | None = None
    update_repeatable: Annotated[bool, Field(description="After a failed update only")] | None = None
