"""What users log in with: a password, an argon2id hash of one, or a token known by its SHA-256. Who is let in is left to `web.logins`.

Hashes are argon2id only (RFC 9106): one kind, so that every login costs the same. Others are refused rather than taken for passwords.
"""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field

import argon2
from argon2.exceptions import VerifyMismatchError

# OWASP, "Password Storage", for argon2id; more would let strangers, whose wrong passwords are checked too, use up a small machine.
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
SCHEME = re.compile(r"\$([A-Za-z0-9-]{1,32})\$")
ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,9})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,172})"
)
# What one login may cost: below, guessing is cheap (OWASP's least); above, logins alone would use up a machine.
LIMITS = {"m": (7168, 262144), "t": (1, 16), "p": (1, 16)}
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1
TOKEN_LENGTH = range(20, 4097)
TOKEN_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class Password:
    """A password as it is."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class PasswordHash:
    """A password known by its argon2id hash, in the usual form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`."""

    encoded: str = field(repr=False)

    @property
    def is_usual(self) -> bool:
        """Whether checking it takes as long as checking one that `hash_password` makes."""
        return not HASHER.check_needs_rehash(self.encoded)


@dataclass(frozen=True)
class Token:
    """A bearer token known by its SHA-256, in hexadecimal digits."""

    sha256: str = field(repr=False)


Credential = Password | PasswordHash | Token


def password(text: str) -> Password | PasswordHash:
    """What the text of a password file says. Raises ValueError with what is wrong, without the text."""
    scheme = SCHEME.match(text)
    if scheme is None:
        return Password(text)
    if scheme[1] != "argon2id":
        raise ValueError(f"looks like a {scheme[1]} hash: expected the password itself, or a hash made by `apb hash-password` (argon2id)")
    _require_argon2id(text)
    return PasswordHash(text)


def _require_argon2id(encoded: str) -> None:
    found = ARGON2ID.fullmatch(encoded)
    if found is None or not all(map(_is_base64, found.groups()[3:])):
        raise ValueError("is not a whole argon2id hash, version 19: make one with `apb hash-password`")
    for (name, (low, high)), value in zip(LIMITS.items(), found.groups(), strict=False):
        if not low <= int(value) <= high:
            raise ValueError(f"is an argon2id hash with {name}={value}: expected {low} to {high}")


def _is_base64(text: str) -> bool:
    """As argon2 itself reads it: without padding, and no bits left over."""
    try:
        return _base64(base64.b64decode(text + "=" * (-len(text) % 4), validate=True)) == text
    except binascii.Error:
        return False


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")


def token(text: str) -> Token:
    """What the text of a token file says: a token, or `sha256:` and 64 hexadecimal digits. Raises ValueError, without the text."""
    digest = TOKEN_DIGEST.fullmatch(text)
    if digest is not None:
        return Token(digest[1].lower())
    if len(text) not in TOKEN_LENGTH or not TOKEN.fullmatch(text):
        raise ValueError(
            f"is no bearer token: expected {TOKEN_LENGTH.start} or more letters, digits and . _ ~ + / -, "
            "or sha256: and 64 hexadecimal digits"
        )
    return Token(token_digest(text))


def token_digest(text: str) -> str:
    """By which a token is known."""
    return hashlib.sha256(text.encode()).hexdigest()


def hash_password(text: str) -> str:
    """An argon2id hash for a password file: 19 MiB of memory and some tens of milliseconds each time it is checked."""
    return HASHER.hash(text)


def is_password_of(encoded: str, text: str) -> bool:
    """Whether the hash is this password's."""
    try:
        return HASHER.verify(encoded, text)
    except VerifyMismatchError:
        return False


def unmatchable_hash() -> str:
    """A hash that no known password has, as costly to check as any other."""
    cost = f"m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    salt, digest = secrets.token_bytes(HASHER.salt_len), secrets.token_bytes(HASHER.hash_len)
    return f"$argon2id$v=19${cost}${_base64(salt)}${_base64(digest)}"
