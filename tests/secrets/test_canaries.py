"""Recognisable secrets go through a whole deployment, and are looked for in clear and in all usual encodings: each is where it has
to be, and nowhere else.

What one run alone leaves is tests/integration/execution/test_cold.py's, the embedded PostgreSQL tests/e2e/test_redis.py's.
"""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import wait
from tests.secrets import site, story
from tests.secrets.sampler import Sampler

# All places that are meant to hold a secret: files that only their owner can read, on the operator's machines.
MEANT = {
    "the operator's password": {"admin.json", "admin.password"},
    "the password of the servers": {"pg.password", "cache.password"},
    "the password of the database": {"database.url"},
    "the key": {"keys"},
    # It is to be carried out by the operator's server, which was told to log the values of all statements.
    "a secret in SQL": {"log of PostgreSQL"},
    "a secret in SQL that fails": {"log of PostgreSQL"},
    # Nobody said that it is one. Its owner and the operator see it; the role writes it into a file of the instance's, by one of the run's.
    "a secret in an ordinary parameter": {
        "admin/instances",
        "answers of the broker",
        "command line",
        "host/instances/hello/greeting",
        "run directories",
    },
}


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[story.Story, Sampler]]:
    """The deployment after all that was done to it."""
    with site.running() as running:
        yield story.told(running)


def test_secrets_are_only_where_they_belong(told: tuple[story.Story, Sampler]) -> None:
    """Of every kind of secret, through every action, however it ends."""
    found = told[0].gathered.where(told[0].secrets)
    found.pop("decoy")
    assert len(found) > 12
    assert {name: places for name, places in found.items() if places} == MEANT


def test_looking_finds_what_is_planted(told: tuple[story.Story, Sampler]) -> None:
    """In each place a decoy lies, or is the name of an instance, which is no secret; and the sampler has looked often."""
    decoyed = told[0].gathered.where({"decoy": story.DECOY})["decoy"]
    seen = {"/proc: cmdline", "/proc: environ", "run directories", "temporary files", "pg_stat_activity", "log of PostgreSQL", "dump"}
    seen |= {"command line", "answers of the broker", "admin/instances", "admin/operations", "logs/worker.log"}
    assert seen <= decoyed
    assert told[1].rounds > 50


def test_files_are_for_their_owner_only(told: tuple[story.Story, Sampler]) -> None:
    """Whatever umask the broker was started with; what others may pass they cannot list."""
    state = told[0].site.machine.state
    passable = {state, state / "host", state / "host" / "instances", state / "postgres"}
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in [state, *state.rglob("*")] if not path.is_symlink()}
    open_to_others = {str(path): oct(mode) for path, mode in modes.items() if mode & (0o066 if path in passable else 0o077)}
    assert open_to_others == {}
    assert told[1].too_open == {str(path) for path in story.PLANTED_FILES}


def test_runs_leave_nothing_where_they_ran(told: tuple[story.Story, Sampler]) -> None:
    """Not the killed one either; what is there belongs to runs of tests beside this one."""
    wait(lambda: all(Path("/proc", path.name.split("-")[2]).exists() for path in Path("/dev/shm").glob("apb-run-*")))


def test_database_holds_sealed_values_only(told: tuple[story.Story, Sampler]) -> None:
    """Each column that is to be sealed is, in every row, with the label of its key."""
    server = told[0].site.postgresql
    columns = server.sql(
        "SELECT table_name, column_name FROM information_schema.columns WHERE column_name LIKE %s", "%\\_sealed", database="apb_broker"
    )
    assert len(columns) >= 7
    for table, column in columns:
        for (value,) in server.sql(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL", database="apb_broker"):
            assert re.fullmatch(r"key-1:[A-Za-z0-9+/]+=*", value), (table, column)
