"""Watches a machine while a broker works on it: all processes, what the database is asked, and files that live for a moment."""

import contextlib
import os
import stat
import threading
from pathlib import Path
from types import TracebackType

from tests.secrets.looking import Gathered

TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path.home() / ".ansible" / "tmp")
OURS = ("apb-run-", "apb-metrics-", "ansible-")
OTHERS = ("apb", "pytest-of-")  # of tests beside this one, and what is looked at at the end
LARGEST, SMALL = 1_000_000, 20_000
PAUSE_SECONDS = 0.02  # a task takes longer


class Sampler:
    """A thread that looks again and again until it is left."""

    def __init__(self, gathered: Gathered, database) -> None:
        self.too_open: set[str] = set()  # files that others could have read, in places where runs write
        self.rounds = 0
        self._gathered, self._database = gathered, database
        self._before = {path for place in TEMPORARY if place.is_dir() for path in place.iterdir()}
        self._seen: dict[Path, tuple[int, int]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        with self._database.admin() as connection:
            while not self._stopped.is_set():
                self._look_at_processes()
                self._look_at_files()
                queries = connection.execute("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
                self._gathered.add("pg_stat_activity", *(row[0] for row in queries if row[0]))
                self.rounds += 1
                self._stopped.wait(PAUSE_SECONDS)

    def _look_at_processes(self) -> None:
        for name in os.listdir("/proc"):
            if name.isdigit():
                for kind in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        self._gathered.add(f"/proc: {kind}", Path("/proc", name, kind).read_bytes())

    def _look_at_files(self) -> None:
        for place in TEMPORARY:
            with contextlib.suppress(OSError):
                for path in set(place.iterdir()) - self._before:
                    if path.name.startswith(OURS) or not path.name.startswith(OTHERS):
                        self._look_below(path)

    def _look_below(self, top: Path) -> None:
        for folder, _folders, names in os.walk(top) if top.is_dir() else [(top.parent, [], [top.name])]:
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and self._is_new(path, status):
                        place = "run directories" if top.name.startswith("apb-run-") else "temporary files"
                        self._gathered.add(place, path.read_bytes())
                        if status.st_mode & 0o077 and top.name.startswith(OURS) and not _is_closed(top, path):
                            self.too_open.add(str(path))

    def _is_new(self, path: Path, status: os.stat_result) -> bool:
        """Not what was read before, nor what others' programs write without end."""
        before = self._seen.get(path)
        self._seen[path] = (status.st_mtime_ns, status.st_size)
        return self._seen[path] != before and status.st_size <= (LARGEST if before is None else SMALL)


def _is_closed(top: Path, path: Path) -> bool:
    """Whether nobody else gets to the path, whatever its own mode is."""
    return any(folder.stat().st_mode & 0o077 == 0 for folder in path.parents if folder == top or top in folder.parents)
