"""Waiting without a limit: for a PostgreSQL that recovers, and told about."""

import pytest

from apb_broker.machine import cluster, postgres, postmaster
from apb_broker.machine.errors import DatabaseError


class GaveUp(Exception):
    """The caller's own."""


def test_a_long_start_is_told_about_and_can_be_given_up(tmp_path, monkeypatch):
    """The recovery of a long journal looks like progress, not like a hang, and only the caller ends the waiting."""
    waits, told = iter(range(5)), []

    def pause(_seconds):
        if next(waits, None) is None:
            raise GaveUp

    monkeypatch.setattr(postgres, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(postgres, "REPEAT_SECONDS", -1.0)
    monkeypatch.setattr(postmaster, "find", lambda _data: postmaster.Postmaster(1, "starting"))
    server = postgres.EmbeddedPostgres(tmp_path)
    with pytest.raises(GaveUp):
        server._await_ready(told.append, pause)
    assert len(told) == 6
    assert told[0].startswith("PostgreSQL is starting, since 0 s")


def test_an_adopted_server_that_ends_is_started_anew(tmp_path, monkeypatch):
    """One that was just stopping when it was found is no error."""
    states = iter([postmaster.Postmaster(1, "stopping"), None])
    monkeypatch.setattr(postmaster, "find", lambda _data: next(states))
    assert not postgres.EmbeddedPostgres(tmp_path)._await_ready(lambda _text: None, lambda _seconds: None, adopted=True)


def test_a_pid_file_of_nobody_is_no_server(tmp_path):
    """Empty, half written, or with the number of another program."""
    for text in ("", "\n", "abc\n", "1\n", "4194303\n/x\n"):
        (tmp_path / "postmaster.pid").write_text(text)
        assert postmaster.find(tmp_path) is None


@pytest.mark.parametrize(("version", "sentence"), [("17\n", "written by PostgreSQL 17"), (None, "no PG_VERSION")])
def test_a_data_directory_of_another_major_is_refused(tmp_path, version, sentence):
    """The sentence names both versions and what to do."""
    if version:
        (tmp_path / "PG_VERSION").write_text(version)
    with pytest.raises(DatabaseError, match=sentence):
        cluster.check(tmp_path)
