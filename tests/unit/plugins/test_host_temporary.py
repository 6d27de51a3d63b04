"""What killed runs left in Ansible's temporary directory: removed by whose it is, and nothing that it leads to."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import host_layout, host_temporary, instance_home
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

SLUG = "redis-0123456789ab"
OTHER = "redis-ba9876543210"
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """One that other users can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o711)
        yield Path(made)


def leave(base: Path, slug: str, epoch: int) -> Path:
    """What a killed task of a run leaves."""
    left = base / f"apb-{slug}" / str(epoch) / "ansible-tmp-1-2-3"
    left.mkdir(parents=True)
    (left / "source").write_text("password")
    return left.parent


def tmp_of(base: Path, epoch: int) -> str:
    """Ansible's option, as the run has it."""
    return f"{base}/apb-{SLUG}/{epoch}"


def test_leftovers_of_older_runs_go_and_no_others(tmp_path: Path) -> None:
    """Those of the run itself, of later ones, of other instances and of strangers stay."""
    old, own, later = (leave(tmp_path, SLUG, epoch) for epoch in (3, 10, 11))
    other, strange = leave(tmp_path, OTHER, 1), tmp_path / "ansible-tmp-9"
    strange.mkdir()
    host_temporary.remove_older(tmp_of(tmp_path, 10), SLUG, 10)
    assert not old.exists()
    assert all(path.exists() for path in (own, later, other, strange))


def test_leftovers_go_with_the_instance(tmp_path: Path) -> None:
    """All of it, the directory too; where a later run has come meanwhile, its own stays."""
    for epoch in (3, 10):
        leave(tmp_path, SLUG, epoch)
    (tmp_path / f"apb-{SLUG}" / "file").touch()
    other = leave(tmp_path, OTHER, 1)
    host_temporary.remove_all(tmp_of(tmp_path, 10), SLUG, 10)
    assert list(tmp_path.iterdir()) == [other.parent]
    later = leave(tmp_path, SLUG, 11)
    host_temporary.remove_all(tmp_of(tmp_path, 10), SLUG, 10)
    assert later.exists()


def test_leftovers_are_found_for_who_has_no_instance(tmp_path: Path) -> None:
    """A survey has Ansible's option as it is."""
    made = leave(tmp_path, SLUG, 3).parent
    leave(tmp_path, "x", 1).parent.rename(tmp_path / "apb-Not_ours")
    (tmp_path / "apb-linked").symlink_to(made)
    assert host_temporary.found(str(tmp_path)) == [(made, SLUG)]
    assert host_temporary.is_left(str(tmp_path), SLUG)
    assert not host_temporary.is_left(str(tmp_path), OTHER)


def test_leftovers_are_looked_for_in_the_home_of_who_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's own files are there, a module's own in that of who runs it."""
    homes = {name: tmp_path / name for name in ("ops", "root")}
    users = [pwd.struct_passwd((name, "x", os.geteuid(), os.getegid(), "", str(home), "/bin/sh")) for name, home in homes.items()]
    monkeypatch.setattr(host_temporary, "_users", lambda: users)
    for text in ("~/.ansible/tmp", "$HOME/.ansible/tmp", "${HOME}/.ansible/tmp"):
        left = [leave(home / ".ansible/tmp", SLUG, 3) for home in homes.values()]
        host_temporary.remove_older(f"{text}/apb-{SLUG}/4", SLUG, 4)
        assert not any(path.parent.exists() for path in left)


def test_user_who_became_root_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what sudo and doas say; a name that is none says nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", NOBODY.pw_name)
    monkeypatch.setenv("DOAS_USER", "nobody-of-this-name")
    assert [user.pw_uid for user in host_temporary._users()][:2] == [0, NOBODY.pw_uid]


def test_link_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    """Whatever it leads to stays."""
    elsewhere = leave(tmp_path / "elsewhere", SLUG, 1)
    (tmp_path / f"apb-{SLUG}").symlink_to(elsewhere.parent)
    for remove in (host_temporary.remove_older, host_temporary.remove_all):
        with pytest.raises(HostError, match="is not a directory of a user with id"):
            remove(tmp_of(tmp_path, 2), SLUG, 2)
    assert elsewhere.exists()


def test_links_below_are_removed_and_not_followed(tmp_path: Path) -> None:
    """As a run's, and inside of one."""
    kept = leave(tmp_path / "elsewhere", OTHER, 1)
    left = leave(tmp_path, SLUG, 1)
    (left / "inside").symlink_to(kept)
    (left.parent / "2").symlink_to(kept)
    host_temporary.remove_older(tmp_of(tmp_path, 3), SLUG, 3)
    assert not left.parent.exists()
    assert (kept / "ansible-tmp-1-2-3/source").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others")
def test_directory_of_a_stranger_is_refused(tmp_path: Path) -> None:
    """Neither the login user's nor ours."""
    left = leave(tmp_path, SLUG, 1)
    os.chown(left.parent, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(HostError, match="see who made it"):
        host_temporary.remove_older(tmp_of(tmp_path, 2), SLUG, 2)
    assert left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root removes what is others'")
def test_leftovers_are_removed_with_the_rights_of_their_owner(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What that user may not remove stays, and is told; afterwards we are who we were."""
    monkeypatch.setattr(host_temporary, "_users", lambda: [pwd.getpwuid(0), NOBODY])
    left, foreign = leave(open_directory, SLUG, 1), leave(open_directory, SLUG, 2)
    for path in (left.parent, left, *left.rglob("*")):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(HostError, match=r"/2, left by an earlier run, cannot be removed: .*Permission denied"):
        host_temporary.remove_older(tmp_of(open_directory, 3), SLUG, 3)
    assert (left.exists(), foreign.exists()) == (False, True)
    assert (os.geteuid(), os.getegid()) == (0, 0)


@pytest.mark.parametrize(("state", "left"), [("claimed", {"5"}), ("present", {"5"}), ("stopped", {"5"}), ("absent", set())])
def test_home_removes_what_older_runs_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, left: set[str]) -> None:
    """The first task of every run does, and the removal of the instance with everything; a run that is refused removes nothing."""
    monkeypatch.setattr(host_layout, "is_root", lambda: False)
    directory, base = tmp_path / "host", tmp_path / "tmp"
    for name in ("fence", "instances"):
        (directory / name).mkdir(parents=True)
    for epoch in (4, 5):
        leave(base, SLUG, epoch)
    params = {"directory": str(directory), "slug": SLUG, "epoch": 5, "ports": [], "state": state}
    instance_home.work(params, True, tmp_of(base, 5))
    assert {path.name for path in base.glob("apb-*/*")} == {"4", "5"}
    instance_home.work(params, False, tmp_of(base, 5))
    assert {path.name for path in base.glob("apb-*/*")} == left
    leave(base, SLUG, 3)
    with pytest.raises(HostError, match="refused"):
        instance_home.work({**params, "epoch": 4}, False, tmp_of(base, 4))
    assert (base / f"apb-{SLUG}/3").exists()
