"""The state directory: where the files of one machine lie, who may read them, and that one `apb up` works on it at a time.

As an ordinary user everything is 0700. As root the directory itself is 0711: the system users of instances and of
PostgreSQL walk through it to `host/` and `postgres/` (0711 too) but list and read nothing; every file in it is 0600 and
`logs/` is 0700. What the files say is left to `machine.configuration`.
"""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from apb_broker.machine import files
from apb_broker.machine.errors import AlreadyRunning, StateDirectoryError
from apb_broker.machine.postgres import EmbeddedPostgres

ROOTS_DIRECTORY = Path("/var/lib/apb")
# A directory that holds something, but none of these, was not meant for us.
KNOWN_FILES = ("apb.yml", "lock", "keys", "admin.password", "database.url")
KNOWN_TO_FILE_SYSTEMS = frozenset({"lost+found"})


def default_root(environment: Mapping[str, str] = os.environ) -> Path:
    """Where state lies unless told otherwise: $APB_STATE_DIR, or a place fit for root or for the user."""
    if given := environment.get("APB_STATE_DIR"):
        return Path(given)
    if os.geteuid() == 0:
        return ROOTS_DIRECTORY
    base = environment.get("XDG_STATE_HOME", "")
    # The XDG specification: relative paths are to be ignored.
    return Path(base) / "apb" if base.startswith("/") else Path.home() / ".local/state/apb"


class StateDirectory:
    """Paths of one state directory. Making one touches nothing; `create` makes the directories."""

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = Path(root if root is not None else default_root()).expanduser().absolute()
        self.config_file = self.root / "apb.yml"
        self.admin_file = self.root / "admin.json"
        self.password_file = self.root / "admin.password"
        self.key_file = self.root / "keys"
        self.database_url_file = self.root / "database.url"
        self.children_file = self.root / "children.json"
        self.lock_file = self.root / "lock"
        self.postgres = self.root / "postgres"
        self.host = self.root / "host"
        self.logs = self.root / "logs"

    def embedded(self) -> EmbeddedPostgres:
        """The PostgreSQL of this state directory, running or not."""
        return EmbeddedPostgres(self.postgres, log_file=self.logs / "postgres.log")

    def create(self) -> None:
        """Makes what is missing and closes what is too open. Raises StateDirectoryError; a directory of others is left untouched."""
        passable = 0o711 if os.geteuid() == 0 else 0o700
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            _directory(self.root, passable, check=self._refuse_foreign)
            for path in (self.postgres, self.host):
                _directory(path, passable)
            _directory(self.logs, 0o700)
        except OSError as error:
            raise StateDirectoryError(f"the state directory {self.root} cannot be made: {error.strerror} ({error.filename})") from error

    def _refuse_foreign(self) -> None:
        names = set(os.listdir(self.root)) - KNOWN_TO_FILE_SYSTEMS  # noqa: PTH208 - names only
        if names and names.isdisjoint(KNOWN_FILES):
            raise StateDirectoryError(f"{self.root} holds other files and no apb.yml: name an empty or new directory as state directory")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held while `apb up` works here; it ends with the process, however that dies. Raises AlreadyRunning, naming the holder."""
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                raise AlreadyRunning(f"`apb up` already runs on {self.root}: process {holder} holds it") from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def keep_database_url(self, url: str) -> None:
        """Hands the operator's DATABASE_URL to serve and worker, whose environment must not show it."""
        files.write_private(self.database_url_file, url + "\n")

    def external_database_url(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The operator's own database: DATABASE_URL, or what an `apb up` with DATABASE_URL kept here. None: the embedded one."""
        if url := environment.get("DATABASE_URL"):
            return url
        try:
            return self.database_url_file.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateDirectoryError(f"{self.database_url_file} cannot be read: {error.strerror}") from error

    def database_url(self, environment: Mapping[str, str] = os.environ) -> str:
        """What serve and worker connect to: DATABASE_URL, else database.url, else the embedded PostgreSQL (its URL holds no secret)."""
        return self.external_database_url(environment) or self.embedded().url


def _directory(path: Path, mode: int, check: Callable[[], None] | None = None) -> None:
    """Makes a directory of ours, never wider than `mode`. `check` looks at one that was there before it is touched."""
    try:
        path.mkdir(mode=mode)
        path.chmod(mode)  # a umask may have taken more than wanted
        return
    except FileExistsError:
        status = path.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise StateDirectoryError(f"{path} is not a directory: move it away or name another state directory")
    if status.st_uid != os.geteuid():
        raise StateDirectoryError(
            f"{path} belongs to user {status.st_uid}, not to user {os.geteuid()}: name another state directory or run apb as its owner"
        )
    if check is not None:
        check()
    # Narrower is the owner's decision; who needs more says so when it is refused.
    if stat.S_IMODE(status.st_mode) & ~mode:
        path.chmod(stat.S_IMODE(status.st_mode) & mode)


def new_password() -> str:
    """A password that needs no quoting anywhere."""
    return secrets.token_urlsafe(24)
