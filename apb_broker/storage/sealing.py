"""Encryption at rest: one key file, AES-256-GCM, the place of the value as associated data.

A sealed value is text, `label:base64(nonce + ciphertext)`; the label names its key, so that keys can be rotated. Which
key seals is for the database to say (`storage.keys`).
"""

import base64
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic_core import PydanticSerializationError, to_json

from apb_broker.storage import errors

NONCE_BYTES = 12
KEY_BYTES = 32
LABEL_CHARACTERS = 64
LABEL = re.compile(rf"[A-Za-z0-9._-]{{1,{LABEL_CHARACTERS}}}")
Stamp = tuple[int, int, int]


class Keyring:
    """The keys of one key file; every key opens. A file that gets further keys is read again, without a restart."""

    def __init__(self, keys: dict[str, bytes], path: Path | None = None) -> None:
        if not keys:
            raise errors.KeyFileError("the key file holds no key")
        self._ciphers = {label: AESGCM(key) for label, key in keys.items()}
        self._stamp: Stamp | None = None
        self.path = path

    @classmethod
    def load(cls, path: Path) -> "Keyring":
        """Reads lines of `label base64key` (32 bytes). Raises KeyFileError, never showing a key."""
        stamp, keys = _read(path)
        ring = cls(keys, path)
        ring._stamp = stamp
        return ring

    @property
    def labels(self) -> tuple[str, ...]:
        """What the keys are called, in the order of the file."""
        return tuple(self._ciphers)

    def has(self, label: str) -> bool:
        """Whether there is a key of that label, also one that was added to the file since."""
        if label not in self._ciphers:
            self.refresh()
        return label in self._ciphers

    def refresh(self) -> None:
        """Takes keys that were added to the file. One that is known stays as it is: what it sealed must open.

        A file that cannot be read just now, since somebody edits it, changes nothing.
        """
        if self.path is None or _stamp(self.path) == self._stamp:
            return
        try:
            stamp, keys = _read(self.path)
        except errors.KeyFileError:
            return
        added = {label: AESGCM(key) for label, key in keys.items() if label not in self._ciphers}
        self._ciphers = {**self._ciphers, **added}  # threads read it meanwhile
        self._stamp = stamp

    def seal(self, value: Any, place: str, label: str) -> str:
        """A JSON value, sealed for `place` (`table/row/column`) with the key of that label."""
        return self._seal(_as_json(value), place, label)

    def open(self, token: str, place: str) -> Any:
        """The JSON value sealed for `place`. Raises WrongKey."""
        return json.loads(self._open(token, place))

    def reseal(self, token: str, place: str, label: str) -> str:
        """The same value, sealed with the key of another label. Raises WrongKey."""
        return self._seal(self._open(token, place), place, label)

    def fits(self, token: str, place: str) -> bool:
        """Whether that value opens."""
        try:
            self._open(token, place)
        except errors.WrongKey:
            return False
        return True

    def _seal(self, plain: bytes, place: str, label: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[label].encrypt(nonce, plain, place.encode())
        return f"{label}:{base64.b64encode(sealed).decode()}"

    def _open(self, token: str, place: str) -> bytes:
        label, _, encoded = token.partition(":")
        if not self.has(label):
            raise errors.WrongKey(f"{place} is sealed with key '{label}', which the key file lacks")
        sealed = base64.b64decode(encoded)
        try:
            return self._ciphers[label].decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except InvalidTag as error:
            raise errors.WrongKey(f"{place} does not open with key '{label}'") from error


def _as_json(value: Any) -> bytes:
    """By pydantic's encoder, in a third of the time; Python's knows what to do with half a character and with what is nested very deep."""
    try:
        return to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError:
        return json.dumps(value, separators=(",", ":")).encode()


def _stamp(path: Path) -> Stamp | None:
    """What changes with the file; None when it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _read(path: Path) -> tuple[Stamp | None, dict[str, bytes]]:
    stamp = _stamp(path)  # before the text: what is written in between is read again
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.KeyFileError(f"the key file {path} cannot be read: {type(error).__name__}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise errors.KeyFileError(f"the key file {path} is open to others: run `chmod 600 {path}`")
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            label, key = _parse_line(path, number, line)
            if label in keys:
                raise errors.KeyFileError(f"{path} line {number}: there is a key '{label}' above already")
            keys[label] = key
    return stamp, keys


def _parse_line(path: Path, number: int, line: str) -> tuple[str, bytes]:
    label, _, encoded = line.strip().partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if not LABEL.fullmatch(label) or len(key) != KEY_BYTES:
        raise errors.KeyFileError(
            f"{path} line {number}: expected `label base64key`, the label of at most {LABEL_CHARACTERS} letters, digits, '.', '_', '-',"
            f" the key being {KEY_BYTES} bytes"
        )
    return label, key
