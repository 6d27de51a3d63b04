"""Sealed values: the key file, and what does not open."""

import base64
import os
from pathlib import Path

import pytest

from apb_broker.storage import errors
from apb_broker.storage.sealing import Keyring


def key_file(path: Path, *lines: str, mode: int = 0o600) -> Path:
    """A key file with these lines."""
    path.write_text("\n".join(lines))
    path.chmod(mode)
    return path


def key() -> str:
    """A key as a key file has it."""
    return base64.b64encode(os.urandom(32)).decode()


def test_sealed_value_opens_in_its_place_only() -> None:
    """The place is authenticated with the value."""
    ring = Keyring({"k1": os.urandom(32)})
    token = ring.seal({"password": "hush"}, "instances/i1/secrets", "k1")
    assert "hush" not in token
    assert ring.open(token, "instances/i1/secrets") == {"password": "hush"}
    with pytest.raises(errors.WrongKey):
        ring.open(token, "instances/i2/secrets")


def test_sealed_value_is_any_value_of_json() -> None:
    """Roles publish what they like: halves of characters, numbers that are none, what is nested deeper than anybody looks."""
    ring, deep = Keyring({"k1": os.urandom(32)}), list[object]()
    for _ in range(300):
        deep = [deep]
    for value in ("\ud800", {"\udfff": [1e22, -0.0, 10**40, None, True, "é\u2028\0"]}, float("inf"), deep):
        assert repr(ring.open(ring.seal(value, "p", "k1"), "p")) == repr(value)
    with pytest.raises(TypeError):
        ring.seal(object(), "p", "k1")


def test_each_key_of_the_file_opens_what_it_sealed(tmp_path: Path) -> None:
    """The value's label says which; without that key the error names it."""
    first, second = f"k1 {key()}", f"k2 {key()}"
    token = Keyring.load(key_file(tmp_path / "keys", first)).seal("x", "p", "k1")
    both = Keyring.load(key_file(tmp_path / "keys", first, second))
    assert both.open(token, "p") == "x"
    assert both.open(both.reseal(token, "p", "k2"), "p") == "x"
    with pytest.raises(errors.WrongKey, match="k1"):
        Keyring.load(key_file(tmp_path / "keys", second)).open(token, "p")


def test_key_that_is_added_to_the_file_counts_at_once(tmp_path: Path) -> None:
    """It is read when its label is met. A known label keeps its key, and a file that is being edited changes nothing."""
    first, second = f"k1 {key()}", f"k2 {key()}"
    ring = Keyring.load(key_file(tmp_path / "keys", first))
    token = ring.seal("x", "p", "k1")
    key_file(tmp_path / "keys", f"k1 {key()}", "k2 half of a")
    assert not ring.has("k2")
    key_file(tmp_path / "keys", f"k1 {key()}", second)
    assert ring.has("k2")
    assert ring.open(token, "p") == "x"
    assert Keyring.load(key_file(tmp_path / "keys", second)).fits(ring.reseal(token, "p", "k2"), "p")
    (tmp_path / "keys").unlink()
    assert not ring.has("k3")


def test_label_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Which of both a value is sealed with, nobody would know."""
    with pytest.raises(errors.KeyFileError, match="line 2: there is a key 'k1' above"):
        Keyring.load(key_file(tmp_path / "keys", f"k1 {key()}", f"k1 {key()}"))


@pytest.mark.parametrize("line", ["k1", "k1 short", "k1 c2hvcnQ=", "a:b " + "A" * 44, "x" * 65 + " " + "A" * 44])
def test_malformed_key_file_is_refused_without_showing_it(tmp_path: Path, line: str) -> None:
    """The message names file, line and form, never the key."""
    with pytest.raises(errors.KeyFileError, match="line 1") as caught:
        Keyring.load(key_file(tmp_path / "keys", line))
    assert line.partition(" ")[2] not in str(caught.value) or line == "k1"


def test_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The message says the command that closes it."""
    with pytest.raises(errors.KeyFileError, match="chmod 600"):
        Keyring.load(key_file(tmp_path / "keys", f"k1 {key()}", mode=0o640))
    with pytest.raises(errors.KeyFileError, match="cannot be read"):
        Keyring.load(tmp_path / "none")
