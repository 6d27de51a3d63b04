"""What an operator does with the keys of a machine: its key file and what the database knows of keys, together."""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apb_broker.lifecycle import keys
from apb_broker.lifecycle.errors import Unsupported
from apb_broker.machine import keyfile
from apb_broker.machine.state import StateDirectory
from apb_broker.storage import migrate
from apb_broker.storage.database import Database
from apb_broker.storage.sealing import Keyring


@dataclass(frozen=True)
class Keys:
    """The keys of one machine."""

    file: Path
    database: Database

    def standings(self) -> list[keys.Standing]:
        """How each key stands."""
        return keys.standings(self.database)

    def add(self, label: str | None = None) -> str:
        """Adds a new key to this machine's file, with which nothing is sealed yet. Returns its label. Raises Unsupported."""
        label = keys.require_new(self.database, label)
        keyfile.add(self.file, label)
        self.database.keyring.refresh()
        keys.register(self.database, label, _who())
        return label

    def rotate(self, label: str, say: keys.Say) -> list[str]:
        """Seals everything with that key, from now on and what there is. Returns what does not open. Raises Unsupported."""
        return keys.rotate(self.database, label, _who(), say)

    def remove(self, label: str) -> bool:
        """Forgets a key, and takes it out of this machine's file; says whether it was in there. Raises Unsupported."""
        ring = self.database.keyring
        is_here = keys.is_here(self.database, label)
        if is_here and ring.labels == (label,):
            raise Unsupported(f"'{label}' is the only key in {self.file}: `apb keys add` another first, and rotate to it")
        keys.remove(self.database, label, _who())
        if is_here:
            keyfile.remove(self.file, label)
        return is_here


@contextmanager
def of_machine(state_dir: Path | None = None) -> Iterator[Keys]:
    """The keys of a state directory, whose database has to answer."""
    state = StateDirectory(state_dir)
    database = Database(state.database_url(), Keyring.load(state.key_file))
    os.environ.pop("DATABASE_URL", None)
    try:
        migrate.require_current(database)
        yield Keys(state.key_file, database)
    finally:
        database.close()


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
