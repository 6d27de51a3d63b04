"""The embedded PostgreSQL: one server of one directory, reachable only through a socket in it. Linux only.

    server = EmbeddedPostgres(directory)
    server.start(print)          # makes, adopts or starts it, and returns when it answers
    server.url                   # holds no secret: the password is in the passfile that it names
    server.stop()

The directory holds `data` (0700), `run` (0700, the socket), `passfile` (0600) and as root `software-VERSION`. The server
survives whoever started it. It logs neither statements nor values.
"""

import contextlib
import fcntl
import os
import secrets
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from apb_broker.machine import accounts, cluster, files, postmaster, software
from apb_broker.machine.accounts import Account
from apb_broker.machine.errors import DatabaseError

PORT = 5432  # only a part of the socket's name
SOCKET_PATH_BYTES = 107  # sun_path, less its closing zero
LOG_LIMIT_BYTES = 10 * 1024 * 1024
STOP_SECONDS = 60.0
PATIENCE_SECONDS = 2.0  # a start that takes longer is told about
REPEAT_SECONDS = 10.0


def nothing(_text: str) -> None:
    """Says nothing."""


class EmbeddedPostgres:
    """One server. Making one of these touches nothing."""

    def __init__(self, directory: Path, log_file: Path | None = None) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.passfile = self.directory / "passfile"
        self.socket_directory = self.directory / "run"
        self.log_file = log_file or self.directory / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For SQLAlchemy with psycopg 3."""
        host, passfile = quote(str(self.socket_directory), safe="/"), quote(str(self.passfile), safe="/")
        return f"postgresql+psycopg://{cluster.ROLE}@/{cluster.ROLE}?host={host}&passfile={passfile}"

    def exists(self) -> bool:
        """Whether there is a data directory already."""
        return self.data.exists()

    def pid(self) -> int | None:
        """The pid of the live server."""
        found = postmaster.find(self.data)
        return found.pid if found else None

    def start(self, on_message: Callable[[str], None] = nothing, pause: Callable[[float], object] = time.sleep) -> str:
        """Makes, adopts or starts the server; returns its URL when it answers.

        There is no time limit: the recovery of a long journal takes its time, `on_message` tells about it. `pause` waits
        some seconds and may raise to give up. Raises DatabaseError.
        """
        self._check_socket_path()
        account = accounts.of_postgres()
        self._make_directory(account)
        with self._lock():
            programs = software.binaries(self.directory, account)
            if not self.exists():
                on_message("making a PostgreSQL database")
                cluster.make(self.data, programs, account, self._new_password())
            cluster.check(self.data)
            if not self._has_password():
                self._change_password(programs, account)
            if not self._adopts(on_message, pause):
                postmaster.remove_stale_files(self.data, self.socket_directory, pause)
                software.remove_others(self.directory, programs)
                self._launch(programs, account)
                self._await_ready(on_message, pause)
        return self.url

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Ends the server, whoever started it, and waits until it has. Raises DatabaseError."""
        postmaster.stop(self.data, timeout_seconds)
        self._bury()

    def bound_log(self) -> None:
        """Keeps the log small; call it now and then."""
        files.bound(self.log_file, LOG_LIMIT_BYTES)

    def _check_socket_path(self) -> None:
        socket = self.socket_directory / f".s.PGSQL.{PORT}"
        length = len(os.fsencode(socket))
        if length > SOCKET_PATH_BYTES:
            raise DatabaseError(
                f"the path of PostgreSQL's socket {socket} is {length} bytes long and Linux takes {SOCKET_PATH_BYTES}:"
                f" choose a state directory with a shorter name (--state-dir or APB_STATE_DIR)"
            )

    def _make_directory(self, account: Account) -> None:
        passable = 0o711 if os.geteuid() == 0 else 0o700
        for path, mode in ((self.directory, passable), (self.socket_directory, 0o700)):
            path.mkdir(exist_ok=True, mode=mode)
            if stat.S_IMODE(path.stat().st_mode) & ~mode:
                path.chmod(mode)
        account.own(self.socket_directory)
        closed = account.barrier(self.directory)
        if closed is not None:
            raise DatabaseError(
                f"PostgreSQL runs as {account.name}, which may not pass {closed} on its way to {self.directory}:"
                f" choose another state directory (--state-dir or APB_STATE_DIR)"
            )

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Two starters wait for each other."""
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _has_password(self) -> bool:
        return self.passfile.exists()

    def _new_password(self) -> str:
        """A password, kept before the database knows it: a start that is killed in between makes both anew."""
        password = secrets.token_urlsafe(32)
        # libpq compares the host with the socket's directory; a star spares us its quoting rules.
        files.write_private(self.passfile, f"*:*:{cluster.ROLE}:{cluster.ROLE}:{password}\n")
        return password

    def _change_password(self, programs: Path, account: Account) -> None:
        self.stop()
        postmaster.remove_stale_files(self.data, self.socket_directory)
        password = secrets.token_urlsafe(32)
        cluster.change_password(self.data, programs, account, password)
        files.write_private(self.passfile, f"*:*:{cluster.ROLE}:{cluster.ROLE}:{password}\n")

    def _adopts(self, on_message: Callable[[str], None], pause: Callable[[float], object]) -> bool:
        """Whether a server of ours runs already, and answers. One that is stopping is waited for."""
        if postmaster.find(self.data) is None:
            return False
        return self._await_ready(on_message, pause, adopted=True)

    def _launch(self, programs: Path, account: Account) -> None:
        self._bury()  # one that died under us
        self.bound_log()
        settings = cluster.SILENT | {
            "listen_addresses": "",
            "unix_socket_directories": _guc_path(self.socket_directory),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "fsync": "on",
            "full_page_writes": "on",
            "cluster_name": "apb",
        }
        log = files.append_private(self.log_file)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [programs / "postgres", "-D", self.data, *cluster.options(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **account.process_options(),
            )
        except OSError as error:
            raise DatabaseError(f"postgres cannot be run as {account.name}: {error.strerror} ({error.filename})") from error
        finally:
            os.close(log)

    def _await_ready(self, on_message: Callable[[str], None], pause: Callable[[float], object], *, adopted: bool = False) -> bool:
        """Waits until the server answers. False: an adopted one ended instead. Raises DatabaseError when our own did."""
        began = time.monotonic()
        tell_at = began + PATIENCE_SECONDS
        while True:
            found = postmaster.find(self.data)
            if found and found.status == postmaster.READY:
                return True
            if adopted and found is None:
                return False
            if not adopted and self._bury() is not None:
                raise DatabaseError(f"PostgreSQL did not start: {self._last_words()} (log: {self.log_file})")
            if time.monotonic() > tell_at:
                on_message(
                    f"PostgreSQL is {found.status if found else 'starting'}, since {time.monotonic() - began:.0f} s: it may be recovering"
                )
                tell_at = time.monotonic() + REPEAT_SECONDS
            pause(postmaster.POLL_SECONDS)

    def _bury(self) -> int | None:
        """The exit code of a server that this process started and that ended."""
        return self._process.poll() if self._process else None

    def _last_words(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        return (fatal or lines or ["it gives no reason"])[-1].strip()


def _guc_path(path: Path) -> str:
    """One directory as PostgreSQL's list of directories: a comma in a name would end it."""
    return '"' + str(path).replace('"', '""') + '"'
