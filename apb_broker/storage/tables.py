"""The tables, as SQLAlchemy maps them. Migrations make them; a test compares the two.

Columns ending in `_sealed` are encrypted; rows offer their plain JSON through `Sealed` attributes of the short name,
which need the row to belong to a `Unit` (its session knows the keys).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Identity, Index, Integer, Sequence, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, configure_mappers, mapped_column, object_session

ACTIVE_STATES = ("queued", "running")


class Sealed:
    """A JSON value of a row, kept encrypted in the column `<name>_sealed`."""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name
        self.column = f"{name}_sealed"

    def __get__(self, row: Any, owner: type | None = None) -> Any:
        if row is None:
            return self
        token = getattr(row, self.column)
        return None if token is None else _keyring(row).open(token, self.place_in(row))

    def __set__(self, row: Any, value: Any) -> None:
        setattr(row, self.column, None if value is None else _keyring(row).seal(value, self.place_in(row)))

    def place_in(self, row: Any) -> str:
        """What the value is tied to: table, row and name."""
        return f"{row.__tablename__}/{row.place}/{self.name}"


def _keyring(row: Any) -> Any:
    session = object_session(row)
    if session is None:
        raise RuntimeError(f"{type(row).__name__} is not part of a unit of work, so its sealed values cannot be used")
    return session.info["keyring"]


def seal(row: Any, with_key: Callable[[Any, str], str], values: Mapping[str, Any]) -> None:
    """Sets encrypted values of a row that belongs to no unit yet, by their names; None stays None."""
    for name, value in values.items():
        sealed = getattr(type(row), name)
        put(row, **{sealed.column: None if value is None else with_key(value, sealed.place_in(row))})


class Table(DeclarativeBase):
    """The base all tables share."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
    }


Row = TypeVar("Row", bound=Table)


def new(table: type[Row], **values: Any) -> Row:
    """A row that is to be inserted as it is (`storage.insertion`), by its columns. JSON may be given as its text, in bytes.

    Until then the ORM knows nothing of it: what is not set cannot be read. (Events and a history for each value take ten times as long.)
    """
    row = table.__new__(table)
    put(row, **values)
    return row


def put(row: Table, **values: Any) -> None:
    """Adds to a row that is to be inserted, by its columns."""
    row.__dict__.update(values)


epoch_sequence = Sequence("operation_epoch", metadata=Table.metadata)


def sealed() -> dict[type[Table], tuple[Sealed, ...]]:
    """The sealed values of each table that has any."""
    found = {
        mapper.class_: tuple(value for value in vars(mapper.class_).values() if isinstance(value, Sealed))
        for mapper in Table.registry.mappers
    }
    return {table: values for table, values in found.items() if values}


class Key(Table):
    """A key that values in this database are, were or will be sealed with; the key itself is in key files only."""

    __tablename__ = "keys"
    __table_args__ = (Index("keys_sealing", "seals", unique=True, postgresql_where=text("seals")),)

    label: Mapped[str] = mapped_column(primary_key=True)
    canary: Mapped[str]  # a known text, sealed with this key: tells whether a key file holds the same one
    seals: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))  # one does: what is written from now on
    seals_since: Mapped[datetime | None]
    registered_at: Mapped[datetime] = mapped_column(server_default=func.now())


class KeyHolder(Table):
    """A process that lives, as far as it was heard of, and the keys it has."""

    __tablename__ = "key_holders"

    kind: Mapped[str] = mapped_column(primary_key=True)  # serve | worker
    owner: Mapped[str] = mapped_column(primary_key=True)
    labels: Mapped[list[Any]]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Instance(Table):
    """A service instance, from its acceptance until its removal succeeded."""

    __tablename__ = "instances"
    __table_args__ = (
        # Platforms keep their own names unique (and rename without telling us); for our own client we do.
        Index("instances_name", "organization", "space", "name", unique=True, postgresql_where=text("platform = 'apb'")),
        Index("instances_space", "space", "name"),
        Index("instances_organization", "organization", "plan_id"),
        Index("instances_age", "created_at", "id"),
        Index("instances_purge", "purge_at", postgresql_where=text("purge_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    platform: Mapped[str | None]
    organization: Mapped[str]
    space: Mapped[str]
    principal: Mapped[str | None]  # who owns it; None since before there were owners: every platform's
    requested_by: Mapped[str]
    context: Mapped[dict[str, Any]]
    service_id: Mapped[str]
    service_name: Mapped[str]
    plan_id: Mapped[str]
    plan_name: Mapped[str]
    plan_snapshot: Mapped[dict[str, Any]]
    role: Mapped[str]
    role_version: Mapped[str]
    mode: Mapped[str]
    state: Mapped[str]  # provisioning | ready | failed | deprovisioning | kept
    names: Mapped[dict[str, Any]]
    placement: Mapped[dict[str, Any]]
    ports: Mapped[dict[str, Any]]
    connection: Mapped[dict[str, Any]]
    dashboard_url: Mapped[str | None]
    deletion_protection: Mapped[bool | None]  # the operator's own word about it; None: the plan's counts
    purge_at: Mapped[datetime | None]  # of one that was deleted and is kept: when it is removed for good
    parameters_sealed: Mapped[str | None]
    secrets_sealed: Mapped[str | None]
    outputs_sealed: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    parameters = Sealed()
    secrets = Sealed()
    outputs = Sealed()

    @property
    def place(self) -> str:
        """What ties sealed values to this row."""
        return self.id

    @property
    def was_made(self) -> bool:
        """Whether it was ever provisioned: there may be data in it."""
        return self.outputs_sealed is not None  # set by the first success, empty where the role gave none

    @property
    def is_deleted(self) -> bool:
        """Whether it is gone for its platform: what there still is of it is between the operator and us."""
        return self.purge_at is not None


class Binding(Table):
    """A binding: one account on one instance."""

    __tablename__ = "bindings"
    __table_args__ = (Index("bindings_expiry", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),)

    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    requested_by: Mapped[str]
    context: Mapped[dict[str, Any]]
    state: Mapped[str]  # binding | ready | failed | unbinding
    username: Mapped[str]
    predecessor: Mapped[str | None]  # the binding it was rotated from
    expires_at: Mapped[datetime | None]
    renew_before: Mapped[datetime | None]
    password_sealed: Mapped[str | None]
    parameters_sealed: Mapped[str | None]
    credentials_sealed: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    password = Sealed()
    parameters = Sealed()
    credentials = Sealed()

    @property
    def place(self) -> str:
        """What ties sealed values to this row; the two parts are length-prefixed, since ids hold any character."""
        return f"{len(self.instance_id)}:{self.instance_id}{self.id}"


class Operation(Table):
    """One accepted request: the queue's row, and the history's. It outlives its instance."""

    __tablename__ = "operations"
    __table_args__ = (
        Index("operations_claim", "sequence", postgresql_where=text("state = 'queued'")),
        Index("operations_leases", "lease_until", postgresql_where=text("state = 'running'")),
        Index("operations_active", "instance_id", "sequence", postgresql_where=text("state IN ('queued', 'running')")),
        Index("operations_subject", "instance_id", "binding_id", "sequence"),
        Index("operations_retry", "retry_at", postgresql_where=text("retry_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    kind: Mapped[str]  # provision | update | deprovision | bind | unbind | repair
    instance_id: Mapped[str]
    instance_name: Mapped[str | None]
    binding_id: Mapped[str | None]
    service_name: Mapped[str | None]
    plan_name: Mapped[str | None]
    principal: Mapped[str | None]
    requested_by: Mapped[str]
    identity: Mapped[dict[str, Any] | None]  # the originating identity, as the platform sent it: {"platform": …, "value": {…}}
    state: Mapped[str]  # queued | running | succeeded | failed
    description: Mapped[str] = mapped_column(server_default="")
    error: Mapped[str] = mapped_column(server_default="")
    request_sealed: Mapped[str | None]
    waits_for: Mapped[str | None]  # for workers of the previous release; ours go by the order of an instance's operations
    epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deadline_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]  # of a removal that failed: when the broker tries again by itself
    retries: Mapped[int] = mapped_column(Integer, server_default="0")  # how often it did before this one

    request = Sealed()

    @property
    def place(self) -> str:
        """What ties sealed values to this row."""
        return self.id

    @property
    def is_active(self) -> bool:
        """Whether it has still to end."""
        return self.state in ACTIVE_STATES


class Health(Table):
    """How an instance was found when it was last looked at. The row is the queue of these looks, as the operation's is of operations."""

    __tablename__ = "health"
    __table_args__ = (Index("health_due", "due_at"),)

    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True)
    status: Mapped[str] = mapped_column(server_default="unknown")  # ok | failing | unknown
    message: Mapped[str] = mapped_column(server_default="")
    drift: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    since: Mapped[datetime] = mapped_column(server_default=func.now())
    checked_at: Mapped[datetime | None]
    due_at: Mapped[datetime]
    epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    repairs: Mapped[int] = mapped_column(Integer, server_default="0")  # since it was last well
    repair_at: Mapped[datetime | None]  # not before


class Progress(Table):
    """What an operation did, line by line, as people read it."""

    __tablename__ = "progress"

    operation_id: Mapped[str] = mapped_column(ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    text: Mapped[str]


class Allocation(Table):
    """A port of a host, given to an instance."""

    __tablename__ = "allocations"
    __table_args__ = (Index("allocations_instance", "instance_id"),)

    host: Mapped[str] = mapped_column(primary_key=True)
    port: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"))
    name: Mapped[str]


class Reservation(Table):
    """What one copy of an instance takes of a host, or of a server that many instances share."""

    __tablename__ = "reservations"
    __table_args__ = (Index("reservations_place", "place"),)

    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True)
    copy: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[str]  # a host's address, or a server's address and port
    memory_gb: Mapped[float]


class Audit(Table):
    """Who did what, in order. Rows are only ever added: a trigger refuses everything else."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_instance", "instance_id", "sequence"),)

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    principal: Mapped[str]
    requested_by: Mapped[str]
    identity: Mapped[dict[str, Any] | None]
    request_id: Mapped[str | None]  # X-Broker-API-Request-Identity
    action: Mapped[str]
    outcome: Mapped[str]  # accepted | succeeded | failed | done
    instance_id: Mapped[str | None]
    binding_id: Mapped[str | None]
    operation_id: Mapped[str | None]
    detail: Mapped[str] = mapped_column(server_default="")


class Worker(Table):
    """A worker process that lives, as far as it was heard of."""

    __tablename__ = "workers"

    owner: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    concurrency: Mapped[int] = mapped_column(Integer)
    running: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OperationStatistics(Table):
    """How operations ended, counted as they end: they can be forgotten, and need not be read again for each look at the metrics."""

    __tablename__ = "operation_statistics"

    service_name: Mapped[str] = mapped_column(primary_key=True)
    plan_name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # storage.statistics.BOUNDS: seconds, at most
    count: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float]  # from acceptance to end, all together


configure_mappers()  # now, not with the first row: those that `new` makes would not begin it
