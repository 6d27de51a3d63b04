"""Logins that were found good: recognised without being kept."""

import pytest

from apb_broker.web import verified_logins
from apb_broker.web.verified_logins import Login, VerifiedLogins

GOOD = Login("ann", "hush-hush")


@pytest.fixture
def verified():
    found = VerifiedLogins()
    found.remember(GOOD, "ann")
    return found


def test_login_is_recognised(verified):
    """It, and no other."""
    assert verified.name_of(GOOD) == "ann"
    others = [
        Login("ann", "hush-hush "),
        Login("Ann", "hush-hush"),
        Login("annh", "ush-hush"),
        Login("", "annhush-hush"),
        Login(None, "hush-hush"),
    ]
    assert [verified.name_of(other) for other in others] == [None] * len(others)
    assert VerifiedLogins().name_of(GOOD) is None


def test_token_is_recognised_without_a_name(verified):
    """And is no password of the empty name."""
    verified.remember(Login(None, "0123"), "bot")
    assert verified.name_of(Login(None, "0123")) == "bot"
    assert verified.name_of(Login("", "0123")) is None


def test_one_login_a_user_is_kept(verified):
    """So that there are never more than users."""
    for number in range(100):
        verified.remember(Login("ann", str(number)), "ann")
    verified.remember(Login("bob", "x"), "bob")
    assert [verified.name_of(login) for login in (GOOD, Login("ann", "98"), Login("ann", "99"), Login("bob", "x"))] == [
        None,
        None,
        "ann",
        "bob",
    ]
    assert len(verified._names) == 2


def test_secrets_are_not_kept(verified):
    """Neither as text nor as a digest that would be the same elsewhere."""
    assert "hush" not in repr(vars(verified)) and "hush" not in repr(GOOD)
    other = VerifiedLogins()
    other.remember(GOOD, "ann")
    assert set(verified._names).isdisjoint(other._names)


def test_places_of_a_user_are_bounded(verified):
    """The one seen first gives way."""
    for number in range(verified_logins.MAX_PLACES_OF_A_USER + 1):
        verified.came_from("ann", str(number))
        verified.came_from("ann", str(number))
    assert not verified.is_known_at("ann", "0")
    assert verified.is_known_at("ann", "1")
    assert not verified.is_known_at("bob", "1")
    assert len(verified._places["ann"]) == verified_logins.MAX_PLACES_OF_A_USER
