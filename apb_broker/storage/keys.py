"""The table `keys`: which keys there are, which one seals, and whether a key file holds the same ones.

Which key seals is one decision for all processes, kept here. Whoever seals a value asks for it, in the same transaction,
and holds a lock until its end: once another key was chosen, nobody can commit a value that the old one sealed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from apb_broker.storage import errors, resealing
from apb_broker.storage.sealing import Keyring
from apb_broker.storage.tables import Key

CANARY = "this key is the one that it is called after"
SEALING_LOCK = 7204652  # in migrations 0005 and 0009, too
REGISTERING_LOCK = 7204653
ROTATING_LOCK = 7204654
SEALING_KEY = text("SELECT label, canary FROM apb_sealing_key()")
LOCK = text("SELECT pg_advisory_xact_lock(:number)")


@dataclass(frozen=True)
class SealingKey:
    """The key that seals, which this process has. Its canary says for certain which one is meant."""

    label: str
    canary: str


class UnitKeys:
    """The keys as one unit uses them: what it seals is sealed with the key that seals now, and no other will before its end."""

    def __init__(self, connection: Connection, keyring: Keyring, admit: Callable[[], None]) -> None:
        self._connection, self._keyring, self._admit = connection, keyring, admit
        self.found: SealingKey | None = None  # once it was asked for

    @property
    def label(self) -> str:
        """The key that seals. Raises Unavailable when this process has not got it."""
        if self.found is None:
            self.found = self._ask()
        return self.found.label

    def seal(self, value: Any, place: str) -> str:
        """A JSON value, sealed for `place`."""
        return self._keyring.seal(value, place, self.label)

    def open(self, token: str, place: str) -> Any:
        """The JSON value sealed for `place`. Raises WrongKey."""
        return self._keyring.open(token, place)

    def reseal(self, token: str, place: str) -> str:
        """The same value, sealed with the key that seals now. Raises WrongKey."""
        return self._keyring.reseal(token, place, self.label)

    def _ask(self) -> SealingKey:
        label, canary = self._connection.execute(SEALING_KEY).one()
        if label is None:  # the first value of this database
            self._admit()
            label, canary = self._connection.execute(SEALING_KEY).one()
        if not self._keyring.has(label):
            raise errors.Unavailable(f"key '{label}' seals, which the key file of this process lacks")
        if not self._keyring.fits(canary, place_of(label)):
            raise errors.Unavailable(f"key '{label}' seals, and the key file of this process holds another one of that name")
        return SealingKey(label, canary)


def place_of(label: str) -> str:
    """What a canary is tied to."""
    return f"keys/{label}/canary"


def admit(session: Session, keyring: Keyring) -> None:
    """Registers what is sealed with and not known yet: the keys of an earlier release's values, or the first key of all.

    Until one is chosen, the last line of the key file seals (as it did before there was this table). Raises WrongKey with all that does
    not fit.
    """
    found = problems(session, keyring, used := resealing.used(session))
    if found:
        raise errors.WrongKey("; ".join(found))
    has_sealing, known = session.execute(select(func.bool_or(Key.seals), func.array_agg(Key.label))).one()
    if has_sealing and set(used) <= set(known):
        return
    session.execute(LOCK, {"number": REGISTERING_LOCK})
    for label in {*used, keyring.labels[-1]}:
        register(session, keyring, label)
    if not session.scalars(select(Key.label).where(Key.seals)).first():
        session.execute(update(Key).where(Key.label == keyring.labels[-1]).values(seals=True, seals_since=func.now()))


def register(session: Session, keyring: Keyring, label: str) -> None:
    """Makes a key known to this database, by its canary. One that is known stays as it is."""
    canary = keyring.seal(CANARY, place_of(label), label)
    session.execute(insert(Key).values(label=label, canary=canary).on_conflict_do_nothing())


def registered(session: Session) -> Sequence[Key]:
    """All keys that this database knows, oldest first."""
    return session.scalars(select(Key).order_by(Key.registered_at, Key.label)).all()


def held(session: Session, keyring: Keyring) -> list[str]:
    """The labels of the registered keys that a key file really holds."""
    keyring.refresh()
    return [key.label for key in registered(session) if is_held(keyring, key)]


def is_held(keyring: Keyring, key: Key) -> bool:
    """Whether a key file holds this very key."""
    return keyring.has(key.label) and keyring.fits(key.canary, place_of(key.label))


def problems(session: Session, keyring: Keyring, used: Mapping[str, int] | None = None) -> list[str]:
    """Why a process with this key file must not work on this database, one sentence each; nothing when it may.

    `used`: how many values are sealed with which key, all that there are, for a process that starts. One that runs had all that was needed
    then, and is asked often: without, only the registered keys are looked at, and whether it has the one that seals.
    """
    known = {key.label: key for key in registered(session)}
    found = []
    for label in sorted({*known, *(used or {})}):
        key = known.get(label)
        if keyring.has(label):
            if not (is_held(keyring, key) if key else resealing.sample_fits(session, keyring, label)):
                found.append(_another(keyring, label, None if used is None else used.get(label, 0)))
        elif count := (used or {}).get(label):
            found.append(_lacking(keyring, label, f"{told(count)} with it"))
        elif key is not None and key.seals:
            found.append(_lacking(keyring, label, "it is the one that seals"))
    return found


def told(count: int) -> str:
    """So many values are sealed, in words."""
    return f"{count or 'no'} {'value is' if count == 1 else 'values are'} sealed"


def _another(keyring: Keyring, label: str, count: int | None) -> str:
    cure = "restore the key file from its backup, or copy that line from another machine of this database"
    if count == 0:
        cure = f"copy that line from another machine of this database, or, where there is none: `apb keys remove {label}`"
    how_many = "" if count is None else f" ({told(count)} with it)"
    return f"key '{label}' in {keyring.path} is another one than the '{label}' of this database{how_many}: {cure}"


def _lacking(keyring: Keyring, label: str, why: str) -> str:
    return (
        f"{keyring.path} lacks key '{label}' of this database ({why}):"
        " put its line back, from a backup of the file or from another machine of this database"
    )


def choose(session: Session, label: str, *, timeout_seconds: float) -> bool:
    """Makes a registered key the one that seals, after the end of every unit that seals just now; says whether it was not.

    Raises (by the database, as Unavailable) when one of them does not end in time: whoever wants to seal waits for us meanwhile.
    """
    lock_sealing(session, timeout_seconds=timeout_seconds)
    session.execute(update(Key).where(Key.seals, Key.label != label).values(seals=False))
    chosen = update(Key).where(Key.label == label, ~Key.seals).values(seals=True, seals_since=func.now())
    return session.scalars(chosen.returning(Key.label).execution_options(synchronize_session=False)).first() is not None


@contextmanager
def alone(engine: Engine) -> Iterator[bool]:
    """Says whether nobody else rotates keys; nobody else will within the block."""
    with engine.connect() as connection:
        taken = connection.execute(text("SELECT pg_try_advisory_lock(:number)"), {"number": ROTATING_LOCK}).scalar_one()
        connection.commit()  # the lock is the connection's
        try:
            yield taken
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": ROTATING_LOCK})


def lock_sealing(session: Session, *, timeout_seconds: float) -> None:
    """Waits until nobody seals; nobody begins to until the end of the unit."""
    session.execute(text(f"SET LOCAL lock_timeout = {int(timeout_seconds * 1000)}"))
    session.execute(LOCK, {"number": SEALING_LOCK})


def forget(session: Session, label: str) -> None:
    """Takes a key out of the table."""
    session.execute(delete(Key).where(Key.label == label))
