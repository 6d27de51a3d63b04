"""Private directories: who may see them, and who may remove them."""

import os
import stat
from pathlib import Path

import pytest

from apb_broker.execution import directory


@pytest.fixture(autouse=True)
def without_tmpfs(monkeypatch):
    """The tests' own directories only."""
    monkeypatch.setattr(directory, "_is_tmpfs", lambda mount_point: False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def test_directory_is_private_and_goes_with_its_contents(tmp_path):
    """0700, under the root given where there is no tmpfs."""
    made = directory.create(tmp_path)
    assert made.path.parent == tmp_path
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    (made.path / "file").touch()
    made.remove()
    assert list(tmp_path.iterdir()) == []


def test_sweep_spares_live_directories_and_strangers(tmp_path):
    """A held lock, a young directory without one, a file, a link and other names stay; a dead directory goes."""
    made = directory.create(tmp_path)
    young, old, dead = (tmp_path / f"apb-run-1-{name}" for name in ("young", "old", "dead"))
    for path in (young, old, dead):
        path.mkdir()
    (dead / "lock").touch()
    os.utime(old, (0, 0))
    (tmp_path / "apb-run-file").touch()
    (tmp_path / "apb-run-link").symlink_to(made.path)
    (tmp_path / "other").mkdir()
    directory.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {made.path.name, young.name, "apb-run-file", "apb-run-link", "other"}
    made.remove()


def test_directory_needs_a_place(tmp_path):
    """Without any place to write to, the error says so."""
    with pytest.raises(OSError, match="no place"):
        directory.create(Path(tmp_path / "missing"))


def test_directory_tells_that_there_is_no_room(tmp_path):
    """Here there is; /proc never has any."""
    made = directory.create(tmp_path)
    try:
        assert not made.is_full()
        assert directory.RunDirectory(Path("/proc"), made.lock).is_full()
    finally:
        made.remove()
