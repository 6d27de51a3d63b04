"""`apb up` for real: real PostgreSQL and playbooks, stand-ins for serve and worker."""

import json
import os
import re
import signal
import socket
import stat
import time
from pathlib import Path

import machine_people as people
import pytest

from apb_broker.catalog import credentials
from apb_broker.machine import files
from apb_broker.machine.postgres import EmbeddedPostgres
from tests import certificates, ports

FAKE = Path(__file__).with_name("fake_apb.py")
DEADLINE_SECONDS = 30

UP = """
import sys
from apb_broker.machine import up

def migrate(url):
    print("migrate", url.partition("?")[0].rpartition("@")[2] or url, flush=True)
    if "unreachable" in url:
        raise OSError(f"no way to {url}")

root, listen, playbook, fake, seconds = sys.argv[1:]
command = lambda name, state: [sys.executable, fake, name, str(state.root)]
no_tables = {"check_keys": lambda url, key_file: None, "grace_seconds": lambda _state: float(seconds)}
parts = up.Parts(migrate=migrate, playbook=playbook or None, command=command, **no_tables)
sys.exit(up.run_up(root, listen or None, lambda text: print(text, flush=True), parts))
"""

PREPARES = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.file: {path: "{{ apb_directory }}/prepared", state: touch, mode: "0600"}
    - ansible.builtin.shell: {cmd: "setsid sleep 300 & echo $! > daemon", chdir: "{{ apb_directory }}"}
"""

FAILS = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.fail: {msg: this one is ignored}
      ignore_errors: true
    - ansible.builtin.fail: {msg: "install redis-server first, by apt install redis-server.\\nSecond line."}
"""

HIDES = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Keep a secret
      ansible.builtin.fail: {msg: canary}
      no_log: true
"""

WAITS = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.command: {cmd: sleep 300, chdir: "{{ apb_directory }}"}
"""


class Up:
    """One `apb up` in a directory, its output read line by line."""

    def __init__(self, person, place, *, listen="", playbook="", seconds=5, environment=None):
        self.state = place / "s"
        arguments = (self.state, listen, playbook, FAKE, seconds)
        self.process = person.start(UP, *arguments, environment={"HOME": str(place), "TMPDIR": str(place)} | (environment or {}))
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def until(self, pattern):
        """Reads on to a line that matches."""
        for line in self.process.stdout:
            self.lines.append(line.strip())
            if re.search(pattern, line):
                return line.strip()
        raise AssertionError(f"no {pattern} in {self.lines}")

    def end(self, number=None):
        """The exit code, after a signal; all lines are in `lines`."""
        if number:
            self.process.send_signal(number)
        self.lines += self.process.communicate(timeout=DEADLINE_SECONDS)[0].splitlines()
        return self.process.returncode

    @property
    def children(self):
        """The pids of serve and worker."""
        return {name: pid for name, (pid, _started) in json.loads((self.state / "children.json").read_text()).items()}

    @property
    def postgres(self):
        """The pid of PostgreSQL."""
        return EmbeddedPostgres(self.state / "postgres").pid()


@pytest.fixture
def familiar(person, used_place):
    """A directory with a database that earlier tests made, and nothing configured: a first start costs two seconds."""
    people.end_all_below(used_place / "s")
    for pattern in ("apb.yml", "admin.*", "server.*", "*.stubborn", "*.broken", "children.json", "logs/*"):
        for path in (used_place / "s").glob(pattern):
            path.unlink()
    (used_place / "s").mkdir(exist_ok=True)
    (used_place / "s/lock").touch()
    for path in (used_place / "s", used_place / "s/lock"):
        person.own(path)
    return used_place


@pytest.fixture
def listen():
    return f"127.0.0.1:{ports.free()}"


def written(place, text):
    """A playbook's path."""
    path = place / "playbook.yml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""  # it has ended meanwhile


def await_true(condition):
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_up_starts_everything_and_stops_what_it_started(person, place, listen):
    """The order, the last words, the permission bits; after SIGTERM only what the playbook started is left."""
    with Up(person, place, listen=listen, playbook=written(place, PREPARES)) as up:
        up.until("credentials")
        assert up.lines == [
            "making a PostgreSQL database",
            "migrate /apb",
            "preparing this machine for instances",
            f"apb listens on http://{listen}",
            f"the credentials are in {up.state}/admin.json, the logs in {up.state}/logs",
        ]
        pids = [up.postgres, *up.children.values()]
        assert up.end(signal.SIGTERM) == 0
    assert [is_gone(pid) for pid in pids] == [True] * 3
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [*up.state.iterdir(), *(up.state / "logs").iterdir()]}
    passable = 0o711 if person.is_root else 0o700
    assert {name: mode for name, mode in modes.items() if mode != 0o600} == {"postgres": passable, "host": passable, "logs": 0o700}
    assert (up.state / "host/prepared").exists()
    assert not is_gone(int((up.state / "host/daemon").read_text()))


def test_up_goes_on_after_its_own_death(person, familiar, listen):
    """`kill -9` of up ends serve and worker but not PostgreSQL, which the next up adopts."""
    with Up(person, familiar, listen=listen) as up:
        up.until("credentials")
        server, children = up.postgres, up.children.values()
        up.end(signal.SIGKILL)
        await_true(lambda: all(map(is_gone, children)))
    assert "serve stopped" in (up.state / "logs/serve.log").read_text()
    with Up(person, familiar) as again:
        again.until("credentials")
        assert again.postgres == server
        assert again.end(signal.SIGINT) == 0


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_goes_on_after_a_power_loss(person, familiar, listen):
    """Everything killed at once; and the same again before up had said that it was ready."""
    with Up(person, familiar, listen=listen) as up:
        up.until("migrate")
        kill_all(up, familiar)
    for _attempt in range(2):
        with Up(person, familiar) as up:
            up.until("credentials")
            kill_all(up, familiar)


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_waits_for_a_server_that_speaks_tls(person, familiar, listen):
    """Whatever name its certificate has; the URL is https then. Of a hashed password no admin.json can be made, and none is announced."""
    certificates.write(familiar / "s", address="192.0.2.1")
    tls = "tls: {certificate_file: server.crt, key_file: server.key}\n"
    (familiar / "s/apb.yml").write_text(f"listen: {listen}\n{tls}")
    files.write_private(familiar / "s/admin.password", credentials.hash_password("hush-hush") + "\n")
    with Up(person, familiar) as up:
        up.until("the logs")
        assert up.lines[-2:] == [f"apb listens on https://{listen}", f"the logs are in {up.state}/logs"]
        assert up.end(signal.SIGTERM) == 0
    assert not (familiar / "s/admin.json").exists()


def kill_all(up, place):
    pids = [up.process.pid, *people.pids_below(place)]
    for pid in pids:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)
    up.end()


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_revives_what_dies(person, familiar, listen):
    """serve, worker and PostgreSQL, each killed, are started again, and it is said."""
    with Up(person, familiar, listen=listen) as up:
        up.until("credentials")
        before, server = up.children, up.postgres
        for name, pid in before.items():
            os.kill(pid, signal.SIGKILL)
            assert f"apb {name} was ended by SIGKILL and is started again in 1 s" in up.until("started again")
        os.kill(server, signal.SIGKILL)
        up.until("PostgreSQL ended")
        await_true(lambda: up.postgres not in (None, server) and not {*before.values()} & {*up.children.values()})
        assert up.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_a_second_up_names_the_first(person, familiar, listen):
    """Two of them on one state directory would fight over everything."""
    with Up(person, familiar, listen=listen) as first:
        first.until("migrate")
        with Up(person, familiar, listen=listen) as second:
            assert second.end() == 1
        assert second.lines == [f"`apb up` already runs on {first.state}: process {first.process.pid} holds it"]
        assert first.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_kills_what_does_not_stop(person, familiar, listen):
    """After the grace, by itself; and a child that outlived a killed up is ended by the next one."""
    for name in ("serve", "worker"):
        (familiar / f"s/{name}.stubborn").touch()
    with Up(person, familiar, listen=listen, seconds=0.5) as up:
        up.until("credentials")
        # Only then do both ignore the signal that comes with the end of their parent.
        await_true(lambda: all("started" in (familiar / f"s/logs/{name}.log").read_text() for name in ("serve", "worker")))
        first = up.children.values()
        up.end(signal.SIGKILL)
    assert not any(map(is_gone, first))
    with Up(person, familiar, seconds=0.5) as again:
        again.until("credentials")
        assert all(map(is_gone, first))
        second = again.children.values()
        assert again.end(signal.SIGTERM) == 0
    assert all(map(is_gone, second))


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_passes_haste_on(person, familiar, listen):
    """Told to stop twice, it tells those that have not stopped yet to hurry: none is killed, long before the grace is over."""
    (familiar / "s/worker.stubborn").touch()
    with Up(person, familiar, listen=listen, seconds=600) as up:
        up.until("credentials")
        log = familiar / "s/logs/worker.log"
        await_true(lambda: "started" in log.read_text())
        up.process.send_signal(signal.SIGTERM)
        up.until("stopping")
        await_true(lambda: "serve" not in [name for name, pid in up.children.items() if not is_gone(pid)])
        assert up.end(signal.SIGTERM) == 0
        assert "KeyboardInterrupt" in log.read_text()


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_tells_why_it_cannot_prepare(person, familiar):
    """By the message of the task that ended the play, or that it is hidden, or what ansible-playbook said; PostgreSQL is stopped."""
    place_log = f"(details: {familiar}/s/logs/prepare_host.log)"
    for text, reason in (
        (FAILS, "install redis-server first, by apt install redis-server"),
        (HIDES, "the task 'Keep a secret' failed, its output is hidden"),
    ):
        with Up(person, familiar, playbook=written(familiar, text)) as up:
            assert up.end() == 1
        assert up.lines[-1] == f"this machine could not be prepared: {reason} {place_log}"
        assert up.postgres is None
    with Up(person, familiar, playbook="no.such.playbook") as up:
        assert up.end() == 1
    assert "no.such.playbook" in up.lines[-1]


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_can_be_stopped_while_it_prepares(person, familiar):
    """Ctrl-C ends the playbook and its task, then PostgreSQL."""
    with Up(person, familiar, playbook=written(familiar, WAITS)) as up:
        up.until("preparing")
        await_true(lambda: "sleep" in map(name_of, people.pids_below(familiar)))
        assert up.end(signal.SIGINT) == 0
    assert up.lines[-1] == "stopping; instances keep running"
    await_true(lambda: people.pids_below(familiar) == [])


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_tells_why_a_process_does_not_start(person, familiar, listen):
    """The end of its log; and an address in use is named before anybody else's answer is taken for ours."""
    (familiar / "s/serve.broken").touch()
    with Up(person, familiar, listen=listen) as up:
        assert up.end() == 1
    assert up.lines[-1] == f"apb serve ended with code 1: serve is broken on purpose (log: {up.state}/logs/serve.log)"
    host, port = listen.split(":")
    with socket.create_server((host, int(port))), Up(person, familiar) as up:
        assert up.end() == 1
    assert up.lines[-1].startswith(f"cannot listen on {listen}: Address already in use")
    assert up.postgres is None


def test_up_hides_the_operators_database_url(person, place, listen):
    """No PostgreSQL is started; serve and worker find the URL in a private file, not in their environment; it holds for the next up too."""
    url = "postgresql://apb:canary@db.example/apb"
    with Up(person, place, listen=listen, environment={"DATABASE_URL": url, "PGPASSWORD": "canary"}) as up:
        up.until("credentials")
        seen = "".join(Path(f"/proc/{pid}/{what}").read_text() for pid in up.children.values() for what in ("environ", "cmdline"))
        assert up.end(signal.SIGTERM) == 0
    assert "PYTHONPATH" in seen
    assert "canary" not in seen + "".join(up.lines)
    assert (up.state / "database.url").read_text().strip() == url
    assert stat.S_IMODE((up.state / "database.url").stat().st_mode) == 0o600
    with Up(person, place, listen=listen) as again:
        again.until("credentials")
        assert again.end(signal.SIGTERM) == 0
    assert "migrate db.example/apb" in again.lines
    assert not (up.state / "postgres/data").exists()


@pytest.mark.parametrize("person", ["myself"], indirect=True)
def test_up_tells_about_a_database_without_its_password(person, place):
    """A URL that does not work is not kept."""
    url = "postgresql://apb:canary%21@unreachable/apb"
    with Up(person, place, environment={"DATABASE_URL": url}) as up:
        assert up.end() == 1
    assert up.lines[-1] == "the database of DATABASE_URL cannot be brought to this release: OSError: no way to ***"
    assert not (up.state / "database.url").exists()
