"""The key file of a state directory: lines of `label base64key`, made, added and taken out. It is replaced as a whole, mode 0600.

What the keys do is left to `storage.sealing`; which one seals, to the database.
"""

import base64
import os
from pathlib import Path

from apb_broker.machine import files

KEY_BYTES = 32
FIRST_LABEL = "key-1"


def ensure(path: Path) -> None:
    """Makes a key file with one new key when there is none."""
    if not path.exists():
        files.write_private(path, _new_line(FIRST_LABEL))


def add(path: Path, label: str) -> None:
    """Adds a new key, which nobody sees. It becomes the first line: releases before there was `apb keys` seal with the last one."""
    files.write_private(path, _new_line(label) + path.read_text(encoding="ascii"))


def remove(path: Path, label: str) -> None:
    """Takes a key out."""
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    files.write_private(path, "".join(line for line in lines if line.strip().partition(" ")[0] != label))


def _new_line(label: str) -> str:
    return f"{label} {base64.b64encode(os.urandom(KEY_BYTES)).decode()}\n"
