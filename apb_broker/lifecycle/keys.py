"""The rules about keys: when another one may seal, when one may be taken away, and how everything is sealed anew meanwhile.

Key files are `machine.keyfile`'s; the statements `storage.keys`', `storage.resealing`'s and `storage.holders`'.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from apb_broker.lifecycle import fleet
from apb_broker.lifecycle.errors import Unsupported
from apb_broker.storage import audit, errors, holders, keys, resealing
from apb_broker.storage.database import Database, Unit
from apb_broker.storage.sealing import LABEL, LABEL_CHARACTERS
from apb_broker.storage.tables import Table, sealed

PRINCIPAL = "apb keys"  # in the audit: it is done on a machine, not through the broker
LOCK_SECONDS = 1.0  # whoever wants to seal waits so long at most
LOCK_TRIES = 30
LOCKED_SECONDS = 60.0  # rows that somebody works on are left out, and looked at again so long
PAUSE_SECONDS = 0.2

Say = Callable[[int, int], None]
"""Gets how many values are sealed anew, and how many were to be."""


@dataclass(frozen=True)
class Standing:
    """How a key stands.

    `here`: yes | no | another (a key of that name that is not this one). `missing_at`: processes that live without it.
    """

    label: str
    seals: bool
    seals_since: str | None
    registered_at: str | None
    values: int
    here: str
    missing_at: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {**vars(self), "missing_at": list(self.missing_at)}


def standings(database: Database) -> list[Standing]:
    """All keys that the database or this machine's key file knows."""
    ring = database.keyring
    with database.unit() as unit:
        known = {key.label: key for key in keys.registered(unit.session)}
        used = resealing.used(unit.session)
        living = holders.alive(unit.session, silent_seconds=fleet.SILENT_SECONDS)
        found = []
        for label in dict.fromkeys([*known, *sorted(used), *reversed(ring.labels)]):
            key = known.get(label)
            fits = keys.is_held(ring, key) if key else resealing.sample_fits(unit.session, ring, label)
            found.append(
                Standing(
                    label=label,
                    seals=key is not None and key.seals,
                    seals_since=key.seals_since.isoformat() if key and key.seals_since and key.seals else None,
                    registered_at=key.registered_at.isoformat() if key else None,
                    values=used.get(label, 0),
                    here="no" if label not in ring.labels else "yes" if fits else "another",
                    missing_at=_without(living, label),
                )
            )
    return found


def require_new(database: Database, label: str | None) -> str:
    """The label that a new key may have; without one, the next number. Raises Unsupported."""
    with database.unit() as unit:
        taken = {key.label for key in keys.registered(unit.session)} | set(resealing.used(unit.session)) | set(database.keyring.labels)
    if label is None:
        return next(name for number in range(1, len(taken) + 2) if (name := f"key-{number}") not in taken)
    if not LABEL.fullmatch(label):
        raise Unsupported(f"label '{label}': expected 1 to {LABEL_CHARACTERS} letters, digits, '.', '_' or '-'")
    if label in taken:
        where = "this machine's key file has" if label in database.keyring.labels else "this database knows"
        raise Unsupported(f"{where} a key '{label}' already: choose another label, or copy its line from the machine that has it")
    return label


def register(database: Database, label: str, by: str) -> None:
    """Makes a key of this machine's file known to the database, so that others see whether they have the same."""
    with database.unit() as unit:
        keys.register(unit.session, database.keyring, label)
        _note(unit, by, "add key", label)


def choose(database: Database, label: str, by: str) -> None:
    """Makes a key the one that seals, for all processes at once. Raises Unsupported while one that lives has not got it."""
    with database.unit() as unit:
        _require_held(database, unit, label)
        keys.register(unit.session, database.keyring, label)
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            with database.unit() as unit:
                _require_everywhere(unit, label)
                if keys.choose(unit.session, label, timeout_seconds=LOCK_SECONDS):
                    _note(unit, by, "rotate keys", label)
            return
        except errors.Unavailable as error:
            if attempt == LOCK_TRIES:
                raise errors.Unavailable(f"{error}; or a transaction that seals something does not end") from error
        time.sleep(PAUSE_SECONDS)  # so that who waited for us gets on


def reseal(database: Database, label: str, say: Say) -> list[str]:
    """Seals everything with that key which seals already. Returns what does not open, a sentence each. Raises Unsupported.

    Killed at any point, the next call goes on: what is done is known by its label.
    """
    total = _left(database, label)
    done, failed = 0, dict[str, None]()
    say(0, total)
    give_up = time.monotonic() + LOCKED_SECONDS
    while (left := _left(database, label)) > len(failed):
        before = done
        failed.clear()
        for batch in _batches(database, label):
            done += batch.values
            failed.update(dict.fromkeys(batch.failures))
            say(done, max(total, done))
        if done > before:
            give_up = time.monotonic() + LOCKED_SECONDS
        elif len(failed) < left:
            if time.monotonic() > give_up:
                raise Unsupported(f"{left - len(failed)} values are locked by transactions that do not end: run it again later")
            time.sleep(PAUSE_SECONDS)
    return list(failed)


def rotate(database: Database, label: str, by: str, say: Say) -> list[str]:
    """Makes a key the one that seals and seals everything anew. Returns what does not open, a sentence each. Raises Unsupported."""
    with keys.alone(database.engine) as alone:
        if not alone:
            raise Unsupported("keys are being rotated already: wait for its end")
        choose(database, label, by)
        return reseal(database, label, say)


def remove(database: Database, label: str, by: str) -> None:
    """Forgets a key. Raises Unsupported while a value is sealed with it, or while it seals and somebody works."""
    with database.unit() as unit:
        keys.lock_sealing(unit.session, timeout_seconds=LOCK_SECONDS)
        count = resealing.used(unit.session).get(label, 0)
        if count:
            raise Unsupported(f"{keys.told(count)} with key '{label}': `apb keys rotate` to another first")
        key = next((key for key in keys.registered(unit.session) if key.label == label), None)
        if key is None:
            return
        if key.seals and holders.alive(unit.session, silent_seconds=fleet.SILENT_SECONDS):
            raise Unsupported(f"key '{label}' is the one that seals: `apb keys rotate` to another first")
        keys.forget(unit.session, label)
        _note(unit, by, "remove key", label)


def is_here(database: Database, label: str) -> bool:
    """Whether this machine's key file has the very key that the database knows by this label, or one that it does not know."""
    with database.unit() as unit:
        key = next((key for key in keys.registered(unit.session) if key.label == label), None)
        return database.keyring.has(label) and (key is None or keys.is_held(database.keyring, key))


def _require_held(database: Database, unit: Unit, label: str) -> None:
    ring = database.keyring
    if not ring.has(label):
        raise Unsupported(f"{ring.path} has no key '{label}': `apb keys add {label}`, or copy its line from the machine that has it")
    found = keys.problems(unit.session, ring, resealing.used(unit.session))
    if found:
        raise Unsupported("; ".join(found))


def _require_everywhere(unit: Unit, label: str) -> None:
    without = _without(holders.alive(unit.session, silent_seconds=fleet.SILENT_SECONDS), label)
    if without:
        raise Unsupported(
            f"key '{label}' is missing at {', '.join(without)}: copy its line into the key file there (each process sees it within"
            f" {fleet.HEARTBEAT_SECONDS:.0f} s), or end the process ({fleet.SILENT_SECONDS:.0f} s later it does not count any more)"
        )


def _without(living: list[holders.Holder], label: str) -> tuple[str, ...]:
    unsure = " (does not say which keys it has: an earlier release?)"
    return tuple(
        holder.name + (unsure if holder.labels is None else "") for holder in living if holder.labels is None or label not in holder.labels
    )


def _left(database: Database, label: str) -> int:
    with database.unit() as unit:
        return sum(count for name, count in resealing.used(unit.session).items() if name != label)


def _batches(database: Database, label: str) -> Iterator[resealing.Batch]:
    """One pass over everything, a transaction for each batch."""
    for table in sealed():
        yield from _batches_of(database, table, label)


def _batches_of(database: Database, table: type[Table], label: str) -> Iterator[resealing.Batch]:
    after = None
    while True:
        with database.unit() as unit:
            batch = resealing.batch(unit.session, table, label, after=after)
        if batch.last is None:
            return
        yield batch
        after = batch.last


def _note(unit: Unit, by: str, action: str, label: str) -> None:
    who = {"principal": PRINCIPAL, "requested_by": by, "identity": None, "request_id": None}
    what = {"instance_id": None, "binding_id": None, "operation_id": None}
    audit.append(unit, **who, **what, action=action, outcome="done", detail=label)
