"""What is sealed with which key, over all sealed columns of all tables, and sealing it anew with another, some rows at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, tuple_, union_all, update
from sqlalchemy.orm import InstrumentedAttribute, Session, load_only

from apb_broker.storage import errors
from apb_broker.storage.sealing import LABEL_CHARACTERS, Keyring
from apb_broker.storage.tables import Sealed, Table, sealed

BATCH_ROWS = 100


@dataclass(frozen=True)
class Batch:
    """What became of some rows of a table: `last` is the key of the last one looked at (None: there were no more)."""

    last: tuple[Any, ...] | None
    values: int
    failures: tuple[str, ...]


def used(session: Session) -> dict[str, int]:
    """How many values are sealed with each key: {label: values}. Reads all tables that hold any."""
    labels = union_all(
        *(
            # The beginning only: a long value lies elsewhere, in pieces, and need not be read.
            select(func.split_part(func.left(column, LABEL_CHARACTERS + 1), ":", 1).label("label")).where(column.is_not(None))
            for table, values in sealed().items()
            for column in _columns(table, values)
        )
    ).subquery()
    return {row.label: row.values for row in session.execute(select(labels.c.label, func.count().label("values")).group_by(labels.c.label))}


def sample_fits(session: Session, keyring: Keyring, label: str) -> bool:
    """Whether a value sealed with a key of that label opens; True when there is none."""
    for table, values in sealed().items():
        for value in values:
            column = getattr(table, value.column)
            row = session.scalars(select(table).where(_is_sealed_with(column, label)).limit(1)).first()
            if row is not None:
                return keyring.fits(getattr(row, value.column), value.place_in(row))
    return True


def batch(session: Session, table: type[Table], label: str, *, after: tuple[Any, ...] | None) -> Batch:
    """Seals the values of the next rows anew that another key than `label` sealed. Rows that somebody works on are left out.

    Nobody's change is lost: a row is locked before it is read, and whoever wants to change it waits for the end of this unit.
    """
    values = sealed()[table]
    keys = session.info["keyring"]
    if keys.label != label:
        raise errors.StorageError(f"key '{keys.label}' was made the one that seals meanwhile")
    rows = _stale_rows(session, table, values, label, after)
    changed, failures = 0, []
    for row in rows:
        anew: dict[str, str] = {}
        for value in values:
            token = getattr(row, value.column)
            if token is None or token.startswith(f"{label}:"):
                continue
            try:
                anew[value.column] = keys.reseal(token, value.place_in(row))
            except errors.WrongKey as error:
                failures.append(str(error))
        if anew:
            _write(session, table, row, anew)
        changed += len(anew)
    return Batch(_identity(table, rows[-1]) if rows else None, changed, tuple(failures))


def _stale_rows(session: Session, table: type[Table], values: Sequence[Sealed], label: str, after: tuple[Any, ...] | None) -> Sequence[Any]:
    primary = _primary(table)
    query = select(table).where(or_(*(and_(column.is_not(None), ~_is_sealed_with(column, label)) for column in _columns(table, values))))
    if after is not None:
        query = query.where(tuple_(*primary) > tuple_(*(literal(part) for part in after)))
    query = query.order_by(*primary).limit(BATCH_ROWS).with_for_update(skip_locked=True)
    return session.scalars(query.options(load_only(*primary, *_columns(table, values)))).all()


def _write(session: Session, table: type[Table], row: Any, anew: dict[str, str]) -> None:
    """The row is what it was: columns that note a change keep what they say."""
    mapped: Any = table.__table__
    same = {column.name: column for column in mapped.columns if column.onupdate is not None}
    wanted = [column == part for column, part in zip(_primary(table), _identity(table, row), strict=True)]
    session.execute(update(mapped).where(*wanted).values(**same, **anew))


def _primary(table: type[Table]) -> list[InstrumentedAttribute[Any]]:
    return [getattr(table, column.name) for column in table.__table__.primary_key]


def _identity(table: type[Table], row: Any) -> tuple[Any, ...]:
    return tuple(getattr(row, attribute.key) for attribute in _primary(table))


def _columns(table: type[Table], values: Sequence[Sealed]) -> list[InstrumentedAttribute[Any]]:
    return [getattr(table, value.column) for value in values]


def _is_sealed_with(column: Any, label: str) -> ColumnElement[bool]:
    return func.starts_with(column, f"{label}:")
