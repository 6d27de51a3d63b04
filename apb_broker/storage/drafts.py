"""New rows for which nothing has to be looked up: they are written by one statement, which is a transaction of its own, alone or together
with those that other threads have ready at the same time (`storage.gathering`).

That is a round trip instead of four. Whatever was assumed is the database's to refuse: a key that somebody has, or a sealing key
that seals no more. Then nothing was written (Taken), and who asked has to look (a unit).
"""

from collections.abc import Callable, Sequence
from typing import Any

from apb_broker.storage import tables
from apb_broker.storage.keys import SealingKey
from apb_broker.storage.sealing import Keyring
from apb_broker.storage.tables import Table

Insert = Callable[[Sequence[Table], str | None, SealingKey], None]


class Draft:
    """Rows on their way. `key` is the one that is believed to seal."""

    def __init__(self, keyring: Keyring, key: SealingKey, insert: Insert) -> None:
        self._keyring, self._key, self._insert = keyring, key, insert

    def seal(self, row: Table, **values: Any) -> None:
        """Sets encrypted values of a row that is to be inserted, by their names; None stays None."""
        tables.seal(row, lambda value, place: self._keyring.seal(value, place, self._key.label), values)

    def insert(self, *rows: Table, notify: str | None = None) -> None:
        """Inserts all rows there are, and notifies who listens on that channel. Raises Taken, DuplicateName, Unavailable."""
        self._insert(rows, notify, self._key)
