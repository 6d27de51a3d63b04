"""Known secrets vanish from texts in every spelling they are likely to have there."""

import json
from urllib.parse import quote, quote_plus

import pytest

from apb_broker.execution.masking import MASK, Masker, shorten

SECRET = "pä\"ss\\wo'rd /+x"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        repr(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        quote(SECRET, safe="").replace("%C3%A4", "%c3%a4").replace("%2F", "%2f").replace("%2B", "%2b").replace("%5C", "%5c"),
    ],
)
def test_masker_finds_a_secret_as_others_write_it(written):
    """As it is, and as Python, JSON and URLs write it."""
    masked = Masker([SECRET]).mask(f"before {written} after")
    assert "wo" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_masker_hides_overlapping_secrets_as_a_whole():
    """Of two secrets that share letters no part stays."""
    assert Masker(["abcdef", "defghi", "abcd"]).mask("1 abcdefghi 2") == f"1 {MASK} 2"


def test_masker_hides_the_lines_of_a_long_secret():
    """A key of several lines is found when only one of them is quoted."""
    assert Masker(["-----BEGIN-----\nMIIEvQIBADAN\n-----END-----"]).mask("bad line MIIEvQIBADAN") == f"bad line {MASK}"


def test_masker_sees_through_terminal_codes():
    """A colour inside a secret does not hide it."""
    assert Masker(["hunter2hunter2"]).mask("a hunter2\x1b[31mhunter2 b") == f"a {MASK} b"


def test_masker_leaves_short_values_alone():
    """Empty and very short secrets would mask everything."""
    assert Masker(["", "a", "abc"]).mask("abc and a") == "abc and a"


def test_shorten_says_that_it_cut():
    """A long text keeps its beginning."""
    assert shorten("x" * 50, 10) == "x" * 8 + " …"
    assert shorten(" short ", 10) == "short"
