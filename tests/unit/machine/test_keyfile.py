"""The key file: made, added to and taken out of."""

from pathlib import Path

from apb_broker.machine import keyfile
from apb_broker.storage.sealing import Keyring


def test_keys_are_added_and_removed(tmp_path: Path) -> None:
    """A new one comes first, so that the last line, with which earlier releases seal, stays what it was. Nobody else may read the file."""
    path = tmp_path / "keys"
    keyfile.ensure(path)
    first = path.read_text()
    keyfile.ensure(path)
    assert path.read_text() == first
    keyfile.add(path, "key-2")
    assert path.read_text().endswith("\n" + first)
    assert Keyring.load(path).labels == ("key-2", "key-1")
    assert path.stat().st_mode & 0o777 == 0o600
    keyfile.remove(path, "key-1")
    assert Keyring.load(path).labels == ("key-2",)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    """Editors leave such files."""
    path = tmp_path / "keys"
    keyfile.ensure(path)
    path.write_text(path.read_text().rstrip("\n"))
    keyfile.add(path, "key-2")
    keyfile.add(path, "key-3")
    keyfile.remove(path, "key-3")
    assert Keyring.load(path).labels == ("key-2", "key-1")
