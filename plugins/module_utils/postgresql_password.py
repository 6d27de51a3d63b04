"""Passwords of PostgreSQL accounts: never sent nor stored in clear, and compared without being changed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

_SCRAM = re.compile(r"SCRAM-SHA-256\$(?P<rounds>[0-9]+):(?P<salt>[^$]+)\$(?P<stored>[^:]+):(?P<server>.+)")


def scrambled(connection, account: str, password: str) -> str:
    """What ALTER ROLE takes in its place. The server's log may show it: the password cannot be had from it."""
    return connection.pgconn.encrypt_password(password.encode(), account.encode(), b"scram-sha-256").decode()


def matches(stored: str | None, password: str) -> bool:
    """Whether `stored` (pg_authid.rolpassword) was made of this password. Anything but SCRAM counts as another one."""
    found = _SCRAM.fullmatch(stored or "")
    if found is None:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(found["salt"]), int(found["rounds"]))
    key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return hmac.compare_digest(base64.b64decode(found["stored"]), key)
