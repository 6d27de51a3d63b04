"""`apb serve` that is told to take a new configuration, and that is restarted: whoever has connected is answered."""

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from tests import ports
from tests.e2e.machine import wait

PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
# As systemd starts a service for a socket that it holds: the socket is descriptor 3, and the variable names the process.
WITH_SOCKET = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "apb_cli.main", "serve"])
"""


class Server:
    """A state directory for `apb serve`, and the process that serves it."""

    def __init__(self, state: StateDirectory, port: int) -> None:
        self.state, self.port = state, port
        self.log = state.logs / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("APB_") and name != "DATABASE_URL"}
        self.environment["APB_STATE_DIR"] = str(state.root)

    def start(self, listener: socket.socket | None = None) -> None:
        """`apb serve`, until it answers; at a socket that somebody else holds, if there is one."""
        command = [sys.executable, "-m", "apb_cli.main", "serve"]
        if listener is not None:
            command = [sys.executable, "-c", WITH_SOCKET, str(listener.fileno())]
        descriptors = () if listener is None else (listener.fileno(),)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, pass_fds=descriptors)
        wait(self.answers, 60, "the start of apb serve")

    def answers(self) -> bool:
        """Whether it is up."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return self.get("/livez").status_code == httpx.codes.OK
        return False

    def get(self, path: str, user: str = "admin") -> httpx.Response:
        """A request."""
        password = (self.state.root / f"{user}.password").read_text().strip()
        headers = {"X-Broker-API-Version": "2.17"}
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", auth=(user, password), headers=headers, trust_env=False, timeout=60)

    def head(self, method: str, path: str, *, length: int) -> bytes:
        """What comes before a request's body."""
        password = (self.state.root / "admin.password").read_text().strip()
        login = base64.b64encode(f"admin:{password}".encode()).decode()
        fields = {"Host": "x", "Authorization": f"Basic {login}", "X-Broker-API-Version": "2.17", "Content-Type": "application/json"}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), f"Content-Length: {length}"]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode()

    def connect(self) -> socket.socket:
        """A connection. Raises ConnectionRefusedError."""
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def web_processes(self) -> list[psutil.Process]:
        """The processes that answer."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children()

    def signal(self, number: int) -> None:
        """To gunicorn's arbiter."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """SIGTERM, and its end."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(60) == 0, self.log.read_text()


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    """A place for a server, as `apb up` configures it."""
    state = StateDirectory(tmp_path / "s")
    state.create()
    port = ports.free()
    configuration.first_configuration(state, listen=f"127.0.0.1:{port}", ports="31000-31004")
    state.keep_database_url(database_url)
    made = Server(state, port)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


@contextlib.contextmanager
def visitors(server: Server, count: int = 4) -> Iterator[list[int]]:
    """Clients that ask all the time, each time by a connection of its own; the statuses. Nobody may be refused, reset or left alone."""
    statuses: list[int] = []
    failures: list[Exception] = []
    enough = threading.Event()

    def visit() -> None:
        while not enough.is_set() and not failures:
            try:
                statuses.append(server.get("/livez").status_code)
            except httpx.TransportError as error:
                failures.append(error)
            time.sleep(0.02)

    threads = [threading.Thread(target=visit) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert set(statuses) == {httpx.codes.OK}


def add_user(server: Server, name: str) -> None:
    """One more in apb.yml."""
    password = server.state.root / f"{name}.password"
    password.touch(mode=0o600)
    password.write_text(f"the password of {name}")
    config = server.state.config_file
    more = f"users:\n  - {{name: {name}, password_file: {name}.password, roles: [platform]}}"
    config.write_text(config.read_text().replace("users:", more, 1))


def test_reload_takes_the_new_configuration_and_refuses_nobody(server: Server) -> None:
    """SIGHUP: other processes, at the same socket, with what apb.yml says now."""
    server.start()
    before = {process.pid for process in server.web_processes()}
    with visitors(server) as statuses:
        add_user(server, "shop")
        assert server.get("/v2/catalog", "shop").status_code == httpx.codes.UNAUTHORIZED
        server.signal(signal.SIGHUP)
        wait(lambda: len(server.web_processes()) == 2 and not before & {each.pid for each in server.web_processes()}, 60, "new processes")
        wait(lambda: server.get("/v2/catalog", "shop").status_code == httpx.codes.OK, 20, "the new user")
        seen = len(statuses)
        wait(lambda: len(statuses) > seen + 20, 20, "more answers")
    server.stop()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(("redis/redis-standard", "redis/none"), "redis/none"), (("listen: ", "listen: 127.0.0.1:1 #"), "while the server runs: restart it")],
)
def test_reload_keeps_to_the_old_configuration_when_the_new_one_cannot_be_used(
    server: Server, change: tuple[str, str], sentence: str
) -> None:
    """It says why, and goes on; a process that dies meanwhile is replaced, too."""
    server.start()
    before = {process.pid for process in server.web_processes()}
    config = server.state.config_file
    config.write_text(config.read_text().replace(*change))
    server.signal(signal.SIGHUP)
    wait(lambda: "configuration not taken over" in server.log.read_text(), 60, "the refusal")
    assert sentence in server.log.read_text()
    assert {process.pid for process in server.web_processes()} == before
    for process in server.web_processes():
        process.kill()
    wait(lambda: len({process.pid for process in server.web_processes()} - before) == 2, 60, "other processes")
    assert server.get("/v2/catalog").status_code == httpx.codes.OK
    server.stop()


def test_stop_answers_whoever_has_connected_and_refuses_others_at_once(server: Server) -> None:
    """Also those whom no process had taken yet, while a slow request is still being read; a load balancer goes elsewhere then."""
    server.start()
    slow = server.connect()
    slow.sendall(server.head("PUT", "/v2/service_instances/slow", length=2))
    frozen = server.web_processes()
    for process in frozen:
        process.suspend()
    wait(lambda: all(map(is_frozen, frozen)), 20, "their standing still")  # before the next signal, which they would take first
    waiting = [server.connect() for _ in range(30)]
    for connection in waiting:
        connection.sendall(PROBE)
    server.signal(signal.SIGTERM)
    wait(lambda: all(has_signal(process, signal.SIGTERM) for process in frozen), 20, "the order to stop")
    for process in frozen:
        process.resume()
    assert [answer(connection) for connection in waiting] == [b"HTTP/1.1 200 OK"] * len(waiting)
    wait(lambda: is_refused(server), 30, "a refusal")
    assert server.process is not None
    assert server.process.poll() is None
    slow.sendall(b"{}")
    assert answer(slow) == b"HTTP/1.1 400 BAD REQUEST"
    assert server.process.wait(20) == 0


def answer(connection: socket.socket) -> bytes:
    """The first line."""
    with connection:
        return connection.recv(1 << 16).partition(b"\r\n")[0]


def is_frozen(process: psutil.Process) -> bool:
    """Whether each thread stands still: until it had a processor after SIGSTOP, it takes other signals first."""
    states = [path.read_text().rpartition(") ")[2][0] for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def has_signal(process: psutil.Process, number: int) -> bool:
    """Whether it is waiting for the process to go on."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def is_refused(server: Server) -> bool:
    """Whether nobody listens any more."""
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_restart_at_a_socket_that_systemd_holds_refuses_nobody(server: Server) -> None:
    """The whole server, code and all: who connects meanwhile waits."""
    with socket.create_server(("127.0.0.1", server.port), backlog=256) as listener:
        server.start(listener)
        with visitors(server) as statuses:
            for _ in range(2):
                server.stop()
                server.start(listener)
            assert statuses
        server.stop()
