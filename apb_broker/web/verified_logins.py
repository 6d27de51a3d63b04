"""Which logins were found good, so that a password is hashed once and not at each request.

Kept are hashes (BLAKE2b) under a key of this process's own, never a password; and from where each user came, because only there a login
that was good before is still taken while others are refused (`failed_logins`): taken from anywhere, it could be guessed as fast as one
can ask.
"""

import hashlib
import secrets
import threading
from dataclasses import dataclass, field

MAX_PLACES_OF_A_USER = 64


@dataclass(frozen=True)
class Login:
    """What a request carries: name and password, or a bearer token (no name)."""

    name: str | None
    secret: str = field(repr=False)


class VerifiedLogins:
    """At most one login a user. Safe for threads."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._names: dict[bytes, str] = {}
        self._places: dict[str, dict[str, None]] = {}  # by user, in the order they were seen
        self._lock = threading.Lock()

    def remember(self, login: Login, name: str) -> None:
        """This login is that user's; an earlier one is forgotten."""
        mark = self._mark(login)
        with self._lock:
            self._names = {known: owner for known, owner in self._names.items() if owner != name} | {mark: name}

    def name_of(self, login: Login) -> str | None:
        """Whose it is, if it was found good before. One hash, whoever asks."""
        return self._names.get(self._mark(login))

    def came_from(self, name: str, place: str) -> None:
        """The user's login was taken from there. The place seen first gives way when there are too many."""
        if self.is_known_at(name, place):
            return
        with self._lock:
            places = self._places.setdefault(name, {})
            if len(places) >= MAX_PLACES_OF_A_USER:
                del places[next(iter(places))]
            places[place] = None

    def is_known_at(self, name: str, place: str) -> bool:
        """Whether the user's login was taken from there before."""
        return place in self._places.get(name, ())

    def _mark(self, login: Login) -> bytes:
        # The name's length keeps "a" with "bc" apart from "ab" with "c"; -1 is a token.
        head = f"{-1 if login.name is None else len(login.name)}:{login.name or ''}"
        return hashlib.blake2b(f"{head}{login.secret}".encode(), key=self._key, digest_size=32).digest()
