"""Whether a login is a user's, at the same cost for known names and unknown ones, and not more often than an attacker is welcome to.

Plain Python: what a request is, and how a refusal is answered, is left to `authentication`. Everything here is of one process.
"""

import threading
from collections.abc import Callable, Mapping

import structlog

from apb_broker.catalog import credentials
from apb_broker.web.failed_logins import FailedLogins, place_of
from apb_broker.web.verified_logins import Login, VerifiedLogins

CHECKS_AT_ONCE = 2  # 19 MiB each, if the operator's hashes are usual ones
CHECKS_WAITING = 10  # the other threads are for those who were found good
MAX_NAME_CHARACTERS = 64  # as many as names of users have

log = structlog.get_logger("apb.logins")


class Wrong(Exception):
    """There is no such user, or this is not how to prove to be that one."""


class TooMany(Exception):
    """Too many logins failed or are being checked; after `retry_after` seconds one is looked at again."""

    def __init__(self, sentence: str, retry_after: float) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Logins:
    """The operator's users by name, with what they log in with."""

    def __init__(
        self,
        users: Mapping[str, credentials.Credential],
        failed: FailedLogins,
        check: Callable[[str, str], bool] = credentials.is_password_of,
    ) -> None:
        self._failed, self._check = failed, check
        self._verified = VerifiedLogins()
        self._hashes: dict[str, str] = {}
        self._nobodys = credentials.unmatchable_hash()
        self._checks = threading.BoundedSemaphore(CHECKS_AT_ONCE)
        self._queue = threading.BoundedSemaphore(CHECKS_AT_ONCE + CHECKS_WAITING)
        for name, credential in users.items():
            self._learn(name, credential)

    def _learn(self, name: str, credential: credentials.Credential) -> None:
        """Passwords and tokens that are known need no check later; only what is known by its hash does."""
        match credential:
            case credentials.Password(text):
                self._verified.remember(Login(name, text), name)
            case credentials.PasswordHash(encoded):
                self._hashes[name] = encoded
            case credentials.Token(sha256):
                self._verified.remember(Login(None, sha256), name)

    def user(self, login: Login, address: str) -> str:
        """The name of the user who logs in from there. Raises Wrong, TooMany.

        One keyed hash for a login that was good before: from where it was, also while others are refused there.
        """
        place = place_of(address)
        known = _by_digest(login)
        name = self._verified.name_of(known)
        if name is None or not self._verified.is_known_at(name, place):
            self._refuse_blocked(place)
            name = name or self._checked(known, place)
        if name is None:
            raise self._failure(login, address, place)
        self._verified.came_from(name, place)
        return name

    def _refuse_blocked(self, place: str) -> None:
        seconds = self._failed.blocked_seconds(place)
        if seconds:
            raise TooMany("too many failed logins from this address", seconds)

    def _checked(self, login: Login, place: str) -> str | None:
        """The user's name, by the one check that costs something: not many at once, each takes its memory."""
        if login.name is None:
            return None
        if not self._queue.acquire(blocking=False):
            raise TooMany("too many logins are being checked", 1.0)
        try:
            with self._checks:
                self._refuse_blocked(place)  # what failed while this one waited
                return self._verified.name_of(login) or self._found_good(login, login.name)  # or was found good
        finally:
            self._queue.release()

    def _found_good(self, login: Login, name: str) -> str | None:
        is_good = self._check(self._hashes.get(name, self._nobodys), login.secret)
        if not is_good or name not in self._hashes:
            return None
        self._verified.remember(login, name)
        return name

    def _failure(self, login: Login, address: str, place: str) -> Wrong:
        is_last = self._failed.add(place)
        log.warning("login failed", address=address[:MAX_NAME_CHARACTERS], user=_shown(login))
        if is_last:
            log.warning("logins from this address are refused for a while", address=place)
        return Wrong()


def _by_digest(login: Login) -> Login:
    """A token is known by its SHA-256 only."""
    return Login(None, credentials.token_digest(login.secret)) if login.name is None else login


def _shown(login: Login) -> str:
    if login.name is None:
        return "(a token)"
    name = "".join(character if character.isprintable() else "?" for character in login.name)
    return name if len(name) <= MAX_NAME_CHARACTERS else name[: MAX_NAME_CHARACTERS - 1] + "…"
