"""The home of an instance: the fence and names, on a directory of the test's own; users and servers are the integration tests'."""

import os
import time
from pathlib import Path

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import (
    host_layout,
    host_processes,
    instance_fence,
    instance_home,
    instance_host,
    system_users,
)
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

SLUG = "redis-0123456789ab"


@pytest.fixture(autouse=True)
def unprivileged(monkeypatch):
    """As an ordinary user everywhere, so that no system users are made."""
    monkeypatch.setattr(host_layout, "is_root", lambda: False)


@pytest.fixture
def directory(tmp_path):
    for name in ("fence", "instances"):
        (tmp_path / name).mkdir()
    return tmp_path


def work(directory, *, check_mode=False, **options):
    given = {"directory": str(directory), "slug": SLUG, "epoch": 1, "ports": [], "state": "present"}
    return instance_home.work({**given, **options}, check_mode)


def test_home_is_made_once(directory):
    """The second run finds it done."""
    assert work(directory)["changed"]
    again = work(directory)
    assert not again["changed"]
    assert Path(again["path"]).stat().st_mode & 0o777 == 0o700


def test_home_has_nothing_left_of_what_a_killed_run_was_writing(directory):
    """What stands beside it stays."""
    home = Path(work(directory)["path"])
    (home / ".ansible_tmpx1redis.conf").write_text("half")
    (home / "redis.conf").write_text("whole")
    assert not work(directory, check_mode=True)["changed"]
    assert len(list(home.iterdir())) == 2
    assert not work(directory)["changed"]
    assert [path.name for path in home.iterdir()] == ["redis.conf"]


def test_home_in_check_mode_is_only_announced(directory):
    """Check mode tells the change and leaves no trace, not even of the epoch."""
    told = work(directory, check_mode=True, epoch=7)
    assert told["changed"]
    assert told["diff"]["after"]["directory"]["mode"] == "0700"
    assert not list(directory.glob("*/*-*"))


@pytest.mark.parametrize("state", ["present", "claimed", "stopped", "absent"])
def test_home_refuses_an_epoch_that_is_too_old(directory, state):
    """Whatever a stray old run wants to do, it is refused before anything happens."""
    work(directory, epoch=5)
    with pytest.raises(HostError, match="refused: epoch 4 is older than 5"):
        work(directory, epoch=4, state=state)
    assert (directory / "instances" / SLUG).is_dir()


def test_fence_survives_the_home(directory):
    """After removal an old run must not make it again."""
    work(directory, epoch=5)
    assert work(directory, epoch=6, state="absent")["changed"]
    assert not work(directory, epoch=6, state="absent")["changed"]
    with pytest.raises(HostError, match="older than 6"):
        work(directory, epoch=5)


def test_tombstones_go_after_a_week_and_fences_of_the_living_stay(directory):
    """Only what is gone since a week is forgotten."""
    old = time.time() - instance_fence.TOMBSTONE_SECONDS - 60
    for name in ("gone", "living", "recent"):
        (directory / "fence" / name).write_text("1\n")
    (directory / "instances" / "living").mkdir()
    for name in ("gone", "living"):
        os.utime(directory / "fence" / name, (old, old))
    work(directory, state="absent")
    assert sorted(path.name for path in (directory / "fence").glob("[a-z]*")) == ["living", "recent", SLUG]


def test_nothing_is_to_be_removed_from_a_host_that_was_never_prepared(tmp_path):
    """Removing what never was succeeds; making something says what to do first."""
    assert not work(tmp_path / "none", state="absent")["changed"]
    with pytest.raises(HostError, match=r"run the playbook apb\.catalog\.prepare_host"):
        work(tmp_path / "none")


@pytest.mark.parametrize("slug", ["../x", "", "a/b", "Redis", ".lock", "-x", "redis\n"])
def test_slug_never_leaves_the_directory(directory, slug):
    """Names that are more than a name are refused."""
    with pytest.raises(HostError, match="cannot be the name"):
        work(directory, slug=slug)


@pytest.mark.parametrize("path", ["relative", "/a b", "/a;b", "/a/../b", "/a$b", "/"])
def test_directory_that_configuration_files_read_differently_is_refused(path):
    """One set of characters that units, supervisord's files and shells agree on."""
    with pytest.raises(HostError, match="cannot be used"):
        host_layout.check_directory(path)


def test_user_names_are_short_and_differ():
    """useradd takes 32 characters; longer slugs are cut and told apart by a hash."""
    assert host_layout.Layout("/d", SLUG).user == f"apb-{SLUG}"
    long = [host_layout.Layout("/d", f"a-very-long-service-name-{end}").user for end in ("000000000001", "000000000002")]
    assert max(map(len, long)) <= 32
    assert long[0] != long[1]


def test_listening_sockets_are_read_from_proc():
    """Port, user and inode of listeners; connections are no listeners."""
    listening = "   0: 0100007F:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000   997        0 35111 1 0 100 0 0 10 0"
    connected = listening.replace(" 0A ", " 01 ")
    assert list(host_processes.parse_sockets([listening, connected])) == [(21000, 997, "35111")]


@pytest.mark.parametrize("end", ["echo 'cannot lock /etc/passwd' >&2; exit 1", "kill -9 $$"], ids=["locked", "killed"])
def test_user_is_added_again_after_what_passes(end, monkeypatch, tmp_path):
    """Runs side by side (and other tools) add users too: useradd then fails at once instead of waiting. And programs are killed."""
    program = tmp_path / "useradd"
    program.write_text(f"#!/bin/sh\n[ -e {tmp_path}/tried ] && touch {tmp_path}/made\ntouch {tmp_path}/tried\n{end}\n")
    program.chmod(0o755)
    monkeypatch.setattr(system_users, "_SBIN", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(system_users, "exists", lambda name: (tmp_path / "made").exists())
    system_users.add("apb-x")
    assert (tmp_path / "made").exists()


def test_host_with_a_directory_too_long_for_a_socket_is_refused():
    """A socket's name holds 107 characters; without a word supervisord would just not start."""
    with pytest.raises(HostError, match="at most 71 characters"):
        instance_host.work({"directory": "/tmp/" + "x" * 67, "supervisor_places": []}, False)


def test_host_without_supervisord_gets_the_cure(monkeypatch):
    """One sentence that names the command to run."""
    with pytest.raises(HostError, match="pip install 'supervisor"):
        instance_host._program(["/nowhere", ""])


def test_host_directory_that_others_can_write_is_refused(tmp_path):
    """Somebody else could put a directory of theirs where instances live."""
    tmp_path.chmod(0o777)
    with pytest.raises(HostError, match="may be written by others"):
        instance_host._make(tmp_path, 0o711)
