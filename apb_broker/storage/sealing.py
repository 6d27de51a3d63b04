"""Encryption at rest: one key file, AES-256-GCM, the place of the value as associated data.

A sealed value is text, `label:base64(nonce + ciphertext)`; the label names its key, so that keys can be rotated.
"""

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apb_broker.storage import errors

NONCE_BYTES = 12
KEY_BYTES = 32


class Keyring:
    """The keys of one key file. The last line's key seals; every key opens."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys:
            raise errors.KeyFileError("the key file holds no key")
        self._ciphers = {label: AESGCM(key) for label, key in keys.items()}
        self._current = list(keys)[-1]

    @classmethod
    def load(cls, path: Path) -> "Keyring":
        """Reads lines of `label base64key` (32 bytes). Raises KeyFileError, never showing a key."""
        try:
            mode = path.stat().st_mode
            lines = path.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise errors.KeyFileError(f"the key file {path} cannot be read: {type(error).__name__}") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise errors.KeyFileError(f"the key file {path} is open to others: run `chmod 600 {path}`")
        return cls(dict(_parse_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()))

    def seal(self, value: Any, place: str) -> str:
        """A JSON value, sealed for `place` (`table/row/column`)."""
        nonce = os.urandom(NONCE_BYTES)
        plain = json.dumps(value, separators=(",", ":")).encode()
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, plain, place.encode())
        return f"{self._current}:{base64.b64encode(sealed).decode()}"

    def open(self, token: str, place: str) -> Any:
        """The JSON value sealed for `place`. Raises WrongKey."""
        label, _, encoded = token.partition(":")
        cipher = self._ciphers.get(label)
        if cipher is None:
            raise errors.WrongKey(f"{place} is sealed with key '{label}', which the key file lacks")
        sealed = base64.b64decode(encoded)
        try:
            plain = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except InvalidTag as error:
            raise errors.WrongKey(f"{place} does not open with key '{label}'") from error
        return json.loads(plain)


def _parse_line(path: Path, number: int, line: str) -> tuple[str, bytes]:
    label, _, encoded = line.strip().partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if ":" in label or len(key) != KEY_BYTES:
        raise errors.KeyFileError(f"{path} line {number}: expected `label base64key`, the key being {KEY_BYTES} bytes")
    return label, key
