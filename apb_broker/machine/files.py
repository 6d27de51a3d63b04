"""Files with secrets in them: complete or absent after a crash, and at no moment open to anybody else."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str, *, uid: int = -1, gid: int = -1) -> None:
    """Writes (or replaces) `path` with mode 0600, for another owner when one is given; after a power loss it is the old or the new file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # O_EXCL: a name that somebody else prepared is refused, not followed.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # a umask may have taken more than wanted
            os.fchown(file.fileno(), uid, gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_private(path: Path) -> int:
    """A descriptor that appends to a log file of mode 0600. Appending lets `bound` cut the file under its writer."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def bound(path: Path, limit_bytes: int) -> None:
    """Moves a log that outgrew its limit to `<name>.1`. Lines written during the copy may be lost; the writer notices nothing."""
    try:
        if path.stat().st_size <= limit_bytes:
            return
        with path.open("rb") as file:
            file.seek(-limit_bytes, os.SEEK_END)
            kept = file.read(limit_bytes)
    except FileNotFoundError:
        return
    older = path.with_name(path.name + ".1")
    older.unlink(missing_ok=True)
    descriptor = append_private(older)
    with os.fdopen(descriptor, "wb") as file:
        file.write(kept)
    os.truncate(path, 0)
