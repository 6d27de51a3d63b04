"""`apb up`: everything on this machine by one command, in the foreground.

Order: lock, first configuration, PostgreSQL, migrations, this machine prepared for instances, then serve and worker,
which are kept alive until SIGTERM or SIGINT; then they and PostgreSQL are stopped. The instances' own supervisor and
servers keep running on purpose. Killed at any point, the next `apb up` goes on.
"""

import contextlib
import http.client
import os
import select
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from apb_broker.machine import configuration, environment, preparation, processes
from apb_broker.machine.errors import DatabaseError, MachineError, PreparationError, ProcessError
from apb_broker.machine.postgres import EmbeddedPostgres
from apb_broker.machine.processes import Child
from apb_broker.machine.state import StateDirectory

Say = Callable[[str], None]
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SPARE_SECONDS = 15.0  # on top of what apb.yml grants serve and worker to stop in
WATCH_SECONDS = 0.5
POLL_SECONDS = 0.05
HTTP_SECONDS = 5.0


class Interrupted(BaseException):
    """A signal told `apb up` to stop before everything ran."""


def migrate(url: str) -> None:
    """Brings the database to this release's tables."""
    from apb_broker.storage.migrate import migrate as run  # late: commands that touch no database do not pay for it

    run(url)


def check_keys(url: str, key_file: Path) -> None:
    """Raises WrongKey when what the database holds is sealed with other keys."""
    from apb_broker.storage.database import Database
    from apb_broker.storage.sealing import Keyring

    with contextlib.closing(Database(url, Keyring.load(key_file))) as database:
        database.admit()


def roles_here(state: StateDirectory) -> list[str]:
    """The roles whose instances this machine itself is a host of. Raises PreparationError for an apb.yml that will not do."""
    from apb_broker.catalog import config as configured  # late: who only stops or asks for help does not pay for it
    from apb_broker.catalog.catalog import Catalog
    from apb_broker.catalog.errors import CatalogError, ConfigError

    try:
        offers = Catalog.load(configured.load(state.config_file)).offers
    except (CatalogError, ConfigError) as error:
        raise PreparationError(str(error)) from error
    here = [
        offer for offer in offers if any(isinstance(target, configured.HostTarget) and not target.inventory for target in offer.targets)
    ]
    return sorted({offer.service.role for offer in here})


def stop_seconds(state: StateDirectory) -> float:
    """How long serve and worker may take to stop: requests are answered, runs finished or handed back."""
    from apb_broker.catalog import config as configured
    from apb_broker.catalog.errors import ConfigError

    settings = configured.Settings()
    with contextlib.suppress(ConfigError):  # a broken apb.yml must not keep anything from being stopped
        settings = configured.load(state.config_file).settings
    return max(settings.drain_seconds + settings.cancel_grace_seconds, settings.sync_wait_seconds) + SPARE_SECONDS


def apb_command(name: str, state: StateDirectory) -> Sequence[str]:
    """`apb serve` or `apb worker` of this installation."""
    return [sys.executable, "-m", "apb_cli.main", name, "--state-dir", str(state.root)]


@dataclass(frozen=True)
class Parts:
    """What `apb up` puts together; tests bring their own."""

    migrate: Callable[[str], None] = migrate
    check_keys: Callable[[str, Path], None] = check_keys
    playbook: str | None = preparation.PLAYBOOK
    roles: Callable[[StateDirectory], Sequence[str]] = roles_here
    command: Callable[[str, StateDirectory], Sequence[str]] = apb_command
    grace_seconds: Callable[[StateDirectory], float] = lambda state: stop_seconds(state)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Signals:
    """The wish to stop, as something to wait for. Only for a main thread."""

    def __init__(self) -> None:
        self.count = 0
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @contextlib.contextmanager
    def caught(self) -> Iterator["Signals"]:
        """Signals only count within the block."""
        # Ignored ones were meant to be: nohup, or a shell's background job.
        heard = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in heard}
        before_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        try:
            yield self
        finally:
            signal.set_wakeup_fd(before_wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._reader)
            os.close(self._writer)

    def _note(self, _number: int, _frame: object) -> None:
        self.count += 1

    def wait(self, seconds: float) -> bool:
        """Waits for the time or a signal. True: stop."""
        if self.count == 0:
            select.select([self._reader], [], [], seconds)
        return self.count > 0

    def pause(self, seconds: float) -> None:
        """Waits. Raises Interrupted at a signal."""
        if self.wait(seconds):
            raise Interrupted


def run_up(
    state_dir: Path | str | None = None,
    listen: str | None = None,
    on_message: Say = print,
    parts: Parts | None = None,
    *,
    ports: str | None = None,
) -> int:
    """Runs everything until it is told to stop; returns the exit code. `on_message` gets one sentence at a time.

    `listen` and `ports` are for the first configuration; later apb.yml says them. Call it in the main thread.
    """
    state = StateDirectory(state_dir)
    parts = parts or Parts()
    try:
        state.create()
        with state.lock(), Signals().caught() as signals:
            has_key = state.key_file.exists()
            configuration.first_configuration(state, listen, ports)
            return _run(state, on_message, parts, signals, has_key=has_key)
    except MachineError as error:
        on_message(str(error))
        return 1


def _run(state: StateDirectory, say: Say, parts: Parts, signals: Signals, *, has_key: bool) -> int:
    with contextlib.ExitStack() as running:
        try:
            server = _start_database(state, say, parts, signals, running)
            _check_keys(state, parts, has_key=has_key)
            _prepare(state, say, parts, signals)
            children = _start_children(state, say, parts, signals, running)
            _await_answer(state, children, signals)
            _announce(state, say)
            _watch(state, server, children, say, signals)
        except Interrupted:
            pass
        if signals.count:
            say("stopping; instances keep running")
    return 0


def _start_database(
    state: StateDirectory, say: Say, parts: Parts, signals: Signals, running: contextlib.ExitStack
) -> EmbeddedPostgres | None:
    """The embedded server, or None when the operator names a database."""
    url, server = state.external_database_url(parts.environment), None
    if url is None:
        server = state.embedded()
        running.callback(server.stop)  # also one that was only half started, or adopted
        url = server.start(say, signals.pause)
    try:
        parts.migrate(url)
    except Exception as error:
        place = state.root if server else "DATABASE_URL" if "DATABASE_URL" in parts.environment else state.database_url_file
        raise DatabaseError(f"the database of {place} cannot be brought to this release: {_first_line(error, url)}") from error
    if server is None:
        say("using the operator's own database")
        state.keep_database_url(url)
    return server


def _check_keys(state: StateDirectory, parts: Parts, *, has_key: bool) -> None:
    """Raises DatabaseError. A key file that was made just now is not left beside a database that is sealed with another."""
    from apb_broker.storage.errors import StorageError, WrongKey

    url = state.external_database_url(parts.environment) or state.embedded().url
    try:
        parts.check_keys(url, state.key_file)
    except StorageError as error:
        if has_key or not isinstance(error, WrongKey):
            raise DatabaseError(str(error)) from error
        state.key_file.unlink()
        raise DatabaseError(
            f"there is no key file {state.key_file}, and what the database holds is sealed already:"
            " restore the key file from its backup, or copy it from another machine of this database"
        ) from error


def _first_line(error: Exception, url: str) -> str:
    """What went wrong, without the password."""
    text = str(getattr(error, "orig", None) or error).strip()
    for secret in (url, password := urlsplit(url).password or "", unquote(password)):
        text = text.replace(secret, "***") if secret else text
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no reason given'}"


def _prepare(state: StateDirectory, say: Say, parts: Parts, signals: Signals) -> None:
    if parts.playbook:
        say("preparing this machine for instances")
        preparation.prepare_host(
            state.host,
            state.logs / "prepare_host.log",
            environment.of_children(parts.environment),
            signals.pause,
            roles=parts.roles(state),
            playbook=parts.playbook,
        )


def _start_children(state: StateDirectory, say: Say, parts: Parts, signals: Signals, running: contextlib.ExitStack) -> list[Child]:
    processes.end_leftovers(state.children_file, parts.grace_seconds(state))
    _refuse_taken_address(configuration.configured_listen(state))
    names = environment.of_children(parts.environment)
    children = [Child(name, parts.command(name, state), state.logs / f"{name}.log", names) for name in ("serve", "worker")]
    running.callback(lambda: processes.stop(children, parts.grace_seconds(state), _impatience(signals)))
    for child in children:
        try:
            child.start()
        except OSError as error:
            raise ProcessError(f"apb {child.name} cannot be started: {error.strerror} ({error.filename})") from error
    processes.remember(state.children_file, children)
    return children


def _impatience(signals: Signals) -> Callable[[], int]:
    """How many further signals have come while stopping."""
    before = max(signals.count, 1)
    return lambda: signals.count - before


def _refuse_taken_address(listen: str) -> None:
    """Otherwise whoever has the address would answer for our own server, which cannot start."""
    host, port = configuration.host_and_port(listen)
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ProcessError(f"cannot listen on {listen}: {error.strerror}: end what uses it or change `listen` in apb.yml") from error


def _await_answer(state: StateDirectory, children: Sequence[Child], signals: Signals) -> None:
    """Waits until the server answers. Raises ProcessError when a child ends before."""
    host, port = configuration.reachable(configuration.configured_listen(state))
    has_tls = configuration.has_tls(state)
    while not _answers(host, port, has_tls=has_tls):
        for child in children:
            if child.exit_code is not None:
                raise ProcessError(f"apb {child.name} {child.ending()}: {child.last_line()} (log: {child.log_file})")
        signals.pause(POLL_SECONDS)


def _answers(host: str, port: int, *, has_tls: bool) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=HTTP_SECONDS)
    if has_tls:
        connection = http.client.HTTPSConnection(host, port, timeout=HTTP_SECONDS, context=_unchecked())
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _unchecked() -> ssl.SSLContext:
    """Our own server is asked whether it lives, by an address its certificate need not name; nothing secret is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _announce(state: StateDirectory, say: Say) -> None:
    say(f"apb listens on {configuration.local_url(state)}")
    credentials = f"the credentials are in {state.admin_file}, " if state.admin_file.exists() else ""
    say(f"{credentials}the logs {'' if credentials else 'are '}in {state.logs}")


def _watch(state: StateDirectory, server: EmbeddedPostgres | None, children: Sequence[Child], say: Say, signals: Signals) -> None:
    while not signals.wait(WATCH_SECONDS):
        if server is not None and server.pid() is None:
            say("PostgreSQL ended and is started again")
            server.start(say, signals.pause)
        restarted = [child.restart_when_due(say) for child in children]
        if any(restarted):
            processes.remember(state.children_file, children)
        if server is not None:
            server.bound_log()
