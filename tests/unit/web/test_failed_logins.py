"""How often logins failed, by where they came from; time is the test's."""

import pytest

from apb_broker.web.failed_logins import FailedLogins, place_of


class Clock:
    """Seconds that pass when told."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_place_is_blocked_after_so_many_failures(clock):
    """The last failure that is looked at is told; blocked is until a minute after the first."""
    failed = FailedLogins(3, clock)
    assert [failed.add("a"), failed.add("a")] == [False, False]
    assert failed.blocked_seconds("a") == 0
    clock.now += 20
    assert failed.add("a") is True
    assert failed.blocked_seconds("a") == 40
    assert failed.blocked_seconds("b") == 0
    clock.now += 39.5
    assert failed.blocked_seconds("a") == 0.5
    clock.now += 0.5
    assert failed.blocked_seconds("a") == 0


def test_failures_are_counted_anew_after_a_minute(clock):
    """Each window begins with its first failure; few failures in each never block."""
    failed = FailedLogins(2, clock)
    for _minute in range(5):
        assert failed.add("a") is False
        clock.now += 60
        assert failed.blocked_seconds("a") == 0
    assert (failed.add("a"), failed.add("a"), failed.blocked_seconds("a")) == (False, True, 60)


def test_failures_while_blocked_do_not_prolong_it(clock):
    """What was under way when the last one failed is counted, and changes nothing."""
    failed = FailedLogins(1, clock)
    assert failed.add("a") is True
    clock.now += 30
    assert failed.add("a") is False
    assert failed.blocked_seconds("a") == 30


def test_table_is_bounded(clock):
    """The place whose window began first gives way; one whose window begins anew counts as new."""
    failed = FailedLogins(1, clock, max_places=3)
    for place in "abc":
        failed.add(place)
        clock.now += 25
    failed.add("a")  # its first window is over by now
    failed.add("d")
    assert len(failed) == 3
    assert [place for place in "abcd" if failed.blocked_seconds(place)] == ["a", "c", "d"]
    for number in range(1000):
        failed.add(str(number))
    assert len(failed) == 3


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8:1:2::7]:4711", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::7]", "2001:db8:1:2::/64"),
        ("", ""),
        ("unknown", "unknown"),
        ("[]", "[]"),
        ("1.2:3", "1.2:3"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_place_is_what_one_client_has(address, place):
    """An IPv4 address, however it is written; a /64, which every client of IPv6 has to itself; else the text, bounded."""
    assert place_of(address) == place
