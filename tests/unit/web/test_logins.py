"""Who logs in, what that costs, and what stops guessing. The check that costs something is counted; time is the test's."""

import threading

import pytest
from structlog.testing import capture_logs

from apb_broker.catalog import credentials
from apb_broker.web import logins
from apb_broker.web.failed_logins import FailedLogins
from apb_broker.web.logins import Logins, TooMany, Wrong
from apb_broker.web.verified_logins import Login
from tests.e2e.machine import wait

HERE, THERE = "192.0.2.1", "192.0.2.2"
HASH = credentials.hash_password("of hasher")
TOKEN = "0123456789abcdefghij"


USERS = {
    "plain": credentials.Password("of plain"),
    "hasher": credentials.PasswordHash(HASH),
    "bot": credentials.token(TOKEN),
}


class Site:
    """Logins of those users."""

    def __init__(self, per_minute=3):
        self.now = 0.0
        self.checked = []
        self.logins = Logins(USERS, FailedLogins(per_minute, lambda: self.now), self.check)

    def check(self, encoded, text):
        self.checked.append(encoded)
        return credentials.is_password_of(encoded, text)

    def outcome(self, name, secret, address=HERE):
        """The user's name, 401, or 429 with its seconds."""
        try:
            return self.logins.user(Login(name, secret), address)
        except Wrong:
            return 401
        except TooMany as error:
            return 429, error.retry_after


@pytest.fixture
def site():
    return Site()


@pytest.mark.parametrize(
    ("name", "secret", "user"), [("plain", "of plain", "plain"), ("hasher", "of hasher", "hasher"), (None, TOKEN, "bot")]
)
def test_user_is_known_by_what_the_file_says(site, name, secret, user):
    """A password, the hash of one, or a token."""
    assert site.outcome(name, secret) == user


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("plain", "of hasher"),
        ("plain", ""),
        ("hasher", HASH),
        ("hasher", ""),
        ("bot", TOKEN),
        ("bot", ""),
        ("nobody", "of plain"),
        ("", ""),
        (None, "of plain"),
        (None, credentials.token_digest(TOKEN)),
        (None, ""),
    ],
    ids=lambda value: "hash" if value == HASH else None,
)
def test_nobody_else_is_let_in(site, name, secret):
    """Another's password, a hash or digest for what it is of, a token as a password, nothing at all."""
    assert site.outcome(name, secret) == 401


def test_known_and_unknown_names_cost_the_same(site):
    """One check each, of a hash with the same cost; the time it takes then tells nothing about names."""
    for name in ("plain", "hasher", "bot", "nobody"):
        site.logins = Logins(USERS, FailedLogins(3), site.check)
        assert site.outcome(name, "wrong") == 401
    assert len(site.checked) == 4
    assert {encoded.split("$")[1:4] == HASH.split("$")[1:4] for encoded in site.checked} == {True}
    assert [len(encoded) for encoded in site.checked] == [len(HASH)] * 4


def test_good_password_is_checked_once(site):
    """From then on a keyed hash recognises it; a wrong one is checked each time."""
    assert [site.outcome("hasher", "of hasher") for _ in range(5)] == ["hasher"] * 5
    assert len(site.checked) == 1
    assert [site.outcome("hasher", "wrong") for _ in range(2)] == [401, 401]
    assert len(site.checked) == 3


def test_known_secrets_need_no_check(site):
    """A password that stands in its file, and tokens."""
    assert (site.outcome("plain", "of plain"), site.outcome(None, TOKEN), site.checked) == ("plain", "bot", [])


def test_too_many_failures_are_429_without_a_check(site):
    """From this address, until the minute is over; other addresses are not concerned."""
    assert [site.outcome(f"user {number}", "wrong") for number in range(3)] == [401] * 3
    site.now += 12
    assert site.outcome("hasher", "wrong") == (429, 48)
    assert site.outcome("hasher", "of hasher") == (429, 48)
    assert site.outcome(None, "a token of nobody at all") == (429, 48)
    assert len(site.checked) == 3
    assert site.outcome("hasher", "of hasher", THERE) == "hasher"
    site.now += 48
    assert site.outcome("hasher", "of hasher") == "hasher"


@pytest.mark.parametrize(
    ("name", "secret", "user"), [("plain", "of plain", "plain"), ("hasher", "of hasher", "hasher"), (None, TOKEN, "bot")]
)
def test_platform_is_not_locked_out_by_others_failures(site, name, secret, user):
    """What was good from this address before goes on."""
    assert site.outcome(name, secret) == user
    while site.outcome("hasher", "wrong") == 401:
        pass
    assert site.outcome(name, secret) == user


def test_blocked_address_cannot_go_on_guessing(site):
    """A password in use elsewhere is not recognised here either: the right guess looks like the wrong ones."""
    assert site.outcome("plain", "of plain", THERE) == "plain"
    assert [site.outcome("plain", f"guess {number}") for number in range(3)] == [401] * 3
    assert site.outcome("plain", "of plain") == site.outcome("plain", "wrong") == (429, 60)
    assert site.outcome("plain", "of plain", THERE) == "plain"


def test_tokens_are_counted_as_passwords_are(site):
    """Three wrong ones and no more."""
    assert [site.outcome(None, f"a wrong token, number {number}") for number in range(4)] == [401, 401, 401, (429, 60)]


def test_failures_are_logged_without_secrets(site):
    """Who, from where, bounded and printable; and once, that no more are looked at."""
    with capture_logs() as logged:
        site.outcome("ann\n\x1b[2J" + "x" * 500, "hush-hush")
        site.outcome(None, "hush-hush-hush-hush-hush")
        site.outcome("plain", "hush-hush")
        site.outcome("plain", "hush-hush")
    assert [(line["event"], line["address"]) for line in logged] == [("login failed", HERE)] * 3 + [
        ("logins from this address are refused for a while", HERE)
    ]
    assert [line["user"] for line in logged[:3]] == ["ann??[2J" + "x" * 55 + "…", "(a token)", "plain"]
    assert "hush" not in str(logged)


class Slow:
    """A check that stops until it is let go, and knows how many went on at once."""

    def __init__(self):
        self.may_go = threading.Event()
        self.running, self.most = 0, 0
        self.lock = threading.Lock()
        self.began = threading.Semaphore(0)

    def __call__(self, encoded, text):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.began.release()
        assert self.may_go.wait(30)
        with self.lock:
            self.running -= 1
        return text == "of hasher"


def test_checks_at_once_are_bounded():
    """Each takes its memory: two go on, ten wait, more are told to come back; the same good password is checked by the first two only."""
    check, site = Slow(), Site(per_minute=1000)
    site.logins = Logins(USERS, FailedLogins(1000), check)
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(site.outcome("hasher", "of hasher"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for _ in range(logins.CHECKS_AT_ONCE):
        assert check.began.acquire(timeout=30)
    wait(lambda: not site.logins._queue._value, 30, "the other ten in the queue")
    assert site.outcome("hasher", "another") == (429, 1.0)
    assert site.outcome("plain", "of plain") == "plain"
    check.may_go.set()
    for thread in threads:
        thread.join(30)
    assert (outcomes, check.most) == (["hasher"] * 12, 2)
    assert not check.began.acquire(blocking=False)


def test_failures_of_waiting_logins_end_the_others():
    """A flood from one address gets no more checks than its limit, and those that were going on."""
    check, site = Slow(), Site()
    site.logins = Logins(USERS, FailedLogins(2), check)
    outcomes = []
    threads = [threading.Thread(target=lambda number=number: outcomes.append(site.outcome("hasher", f"{number}"))) for number in range(12)]
    for thread in threads:
        thread.start()
    check.may_go.set()
    for thread in threads:
        thread.join(30)
    refused = [outcome for outcome in outcomes if outcome != 401]
    assert len(outcomes) == 12 and len(outcomes) - len(refused) <= 2 + logins.CHECKS_AT_ONCE - 1
    assert all(outcome[0] == 429 for outcome in refused)
