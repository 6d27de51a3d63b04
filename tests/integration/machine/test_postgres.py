"""The embedded PostgreSQL for real: as root (through its system user) and as an ordinary user."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from apb_broker.machine import errors, postgres

START = """
import pathlib, sys
from apb_broker.machine.postgres import EmbeddedPostgres
server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
server.start(print)
print(server.pid())
"""
START_AND_DIE = START + "sys.stdout.flush(); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
STOP = START.replace("server.start(print)\nprint(server.pid())", "server.stop()\nprint(server.pid())")
DEADLINE_SECONDS = 30


def start(person, place):
    return int(person.run(START, place / "pg").splitlines()[-1])


def connect(place):
    url = postgres.EmbeddedPostgres(place / "pg").url.replace("+psycopg", "")
    return psycopg.connect(url, autocommit=True)


def query(place, statement, *values):
    with connect(place) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else None


def await_true(condition):
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def family(pid):
    """A server and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_postgres_starts_is_adopted_and_stops(person, used_place):
    """A second start finds the first one's server; the stop ends it; nothing listens on a network."""
    pid = start(person, used_place)
    assert start(person, used_place) == pid
    version, listening, fsync, encoding = query(
        used_place,
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('listen_addresses'), current_setting('fsync'),"
        " current_setting('server_encoding')",
    )[0]
    assert (version, listening, fsync, encoding) == (18, "", "on", "UTF8")
    assert person.run(STOP, used_place / "pg") == "None"
    assert is_gone(pid)


def test_postgres_is_closed_to_others(person, used_place):
    """Modes and owners of everything; the broker's role is no superuser and needs its password; the superuser has no way in."""
    pid = start(person, used_place)
    directory = used_place / "pg"
    owner = Path(f"/proc/{pid}").stat().st_uid
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    software = {name: modes.pop(name) for name in list(modes) if name.startswith("software")}
    assert modes == {"data": 0o700, "run": 0o700, "passfile": 0o600, "lock": 0o600, "postgres.log": 0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == (0o711 if person.is_root else 0o700)
    assert stat.S_IMODE((directory / "run/.s.PGSQL.5432").stat().st_mode) == 0o700
    assert {(directory / name).stat().st_uid for name in ("data", "run")} == {owner}
    if person.is_root:
        assert owner != 0
        assert list(software.values()) == [0o755]
        assert not [path for path in directory.glob("software-*/**/*") if path.stat().st_uid or path.stat().st_mode & 0o022]
    assert query(used_place, "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user") == [(False,) * 3]
    for user, password in (("apb", "wrong"), ("postgres", "wrong"), ("postgres", "")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=str(directory / "run"), user=user, password=password, dbname="apb")


def test_postgres_survives_its_starter(person, used_place):
    """`kill -9` of who started it changes nothing; the next one attaches."""
    person.run(STOP, used_place / "pg")
    with person.start(START_AND_DIE, used_place / "pg") as process:
        pid = int(process.communicate()[0].splitlines()[-1])
    assert process.returncode == -signal.SIGKILL
    assert start(person, used_place) == pid


def test_postgres_comes_back_after_a_power_loss(person, used_place):
    """All its processes killed: what was committed is there after the next start."""
    pid = start(person, used_place)
    query(used_place, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
    kill(family(pid))
    await_true(lambda: is_gone(pid))
    assert start(person, used_place) != pid
    assert query(used_place, "SELECT count(*) FROM kept") == [(1000,)]


def test_postgres_waits_for_the_children_of_a_killed_server(person, used_place):
    """With only the server itself killed, a start at once does not fail on what its children still hold."""
    pid = start(person, used_place)
    with connect(used_place) as busy:
        kill([pid])
        assert start(person, used_place) != pid
        busy.close()
    assert query(used_place, "SELECT 1") == [(1,)]


def test_postgres_is_not_fooled_by_a_recycled_pid(person, used_place):
    """After a power loss the old number may belong to another program of the same user; PostgreSQL alone would refuse to start."""
    pid = start(person, used_place)
    owner = Path(f"/proc/{pid}").stat().st_uid
    files = [used_place / "pg/data/postmaster.pid", used_place / "pg/run/.s.PGSQL.5432.lock"]
    kill(family(pid))
    await_true(lambda: is_gone(pid))
    options = {"user": owner} if os.geteuid() == 0 else {}
    with subprocess.Popen(["/bin/sleep", "60"], **options) as other:
        for file in files:
            file.write_text(file.read_text().replace(str(pid), str(other.pid), 1))
        started = start(person, used_place)
        assert other.poll() is None
        assert started not in (pid, other.pid)
        other.kill()


@pytest.mark.parametrize(
    ("person", "moment"),
    [("myself", "PG_VERSION"), ("myself", "base/5"), ("myself", "base/1????"), ("ordinary", "pg_hba.conf")],
    indirect=["person"],
)
def test_an_interrupted_first_start_blocks_nothing(person, place, moment):
    """Killed anywhere while the data directory is made: the next start makes one, and clears away."""
    with person.start(START, place / "pg") as process:
        await_true(lambda: list(place.glob(f"pg/data.new-*/{moment}")) or process.poll() is not None)
        process.kill()
    assert not (place / "pg/data").exists()
    start(person, place)
    assert query(place, "SELECT 1") == [(1,)]
    assert not list(place.glob("pg/data.new-*"))


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_two_starters_share_one_server(person, place):
    """Started at the same moment in an empty directory."""
    with person.start(START, place / "pg") as one, person.start(START, place / "pg") as two:
        outputs = [process.communicate(timeout=60)[0].splitlines() for process in (one, two)]
    assert outputs[0][-1] == outputs[1][-1]
    assert sum(map(len, outputs)) == 3  # only one of them made the database


def test_a_lost_passfile_is_made_anew(person, used_place):
    """Who may read the directory may set the password; nobody is locked out of the data."""
    start(person, used_place)
    query(used_place, "CREATE TABLE remembered ()")
    old = (used_place / "pg/passfile").read_text()
    (used_place / "pg/passfile").unlink()
    start(person, used_place)
    assert query(used_place, "SELECT count(*) FROM remembered") == [(0,)]
    assert (used_place / "pg/passfile").read_text() != old


def test_no_secret_is_in_sight(person, used_place):
    """Neither the password nor a value of a failing statement is in arguments, environments or the log of any of its processes."""
    pid = start(person, used_place)
    password = (used_place / "pg/passfile").read_text().strip().rpartition(":")[2]
    query(used_place, "CREATE TABLE once (value text PRIMARY KEY, number int)")
    query(used_place, "INSERT INTO once VALUES (%s)", "canary-1")
    failing = (
        "INSERT INTO once VALUES ('canary-1')",
        "SELECT 'canary-2'::int",
        "SELECT canary-3",
        "INSERT INTO once VALUES ('x', 'canary-4')",
    )
    with connect(used_place) as connection:
        for statement in failing:
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
        with pytest.raises(psycopg.Error):
            connection.execute("INSERT INTO once VALUES (%s)", ["canary-1"])
        seen = "".join(Path(f"/proc/{one}/{what}").read_text() for one in family(pid) for what in ("cmdline", "environ"))
    assert "apb: checkpointer" in seen  # other users' processes were readable
    log = (used_place / "pg/postgres.log").read_text()
    assert "ready to accept connections" in log
    assert [word for word in (password, "canary") if word in seen + log] == []


def test_another_major_is_left_alone(person, used_place):
    """Nothing is started on it, nothing written to it."""
    start(person, used_place)
    person.run(STOP, used_place / "pg")
    (used_place / "pg/data/PG_VERSION").write_text("17\n")
    with person.start(START, used_place / "pg") as process:
        output = process.communicate()[0]
    assert "was written by PostgreSQL 17 and this apb brings PostgreSQL 18" in output
    assert not (used_place / "pg/data/postmaster.pid").exists()
    (used_place / "pg/data/PG_VERSION").write_text("18\n")


def test_a_path_too_long_for_a_socket_is_named(tmp_path):
    """Before anything is made, with the cure."""
    with pytest.raises(errors.DatabaseError, match="shorter name"):
        postgres.EmbeddedPostgres(tmp_path / ("x" * 107)).start()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose PostgreSQL runs as another user")
def test_a_closed_directory_on_the_way_is_named(tmp_path):
    """Root sees through a 0700 home, PostgreSQL's system user does not."""
    (tmp_path / "home").mkdir(mode=0o700)
    place = Path(f"/tmp/apb-closed-{os.getpid()}")
    place.mkdir(mode=0o700)
    try:
        with pytest.raises(errors.DatabaseError, match=f"may not pass {place} "):
            postgres.EmbeddedPostgres(place / "pg").start()
    finally:
        subprocess.run(["/bin/rm", "-rf", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a capability up")
@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_root_in_a_container_finds_its_server(person, used_place):
    """Without CAP_SYS_PTRACE (Docker's default) the working directory of another user's process is hidden."""
    bounded = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", sys.executable, "-c"]

    def run(program):
        done = subprocess.run([*bounded, program, used_place / "pg"], capture_output=True, text=True, env=person.environment(), check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    first = int(run(START))
    assert int(run(START)) == first
    kill([first])
    second = int(run(START))
    assert second != first
    assert run(STOP) == "None"
    assert is_gone(second)
