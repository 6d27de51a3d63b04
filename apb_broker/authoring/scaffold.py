"""`apb init`: writes a small service that works, from the files in templates/, for its author to change.

Owns names, places and ids. The files are read as they are, with @role@, @service@, @title@ and the @…_id@s replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from apb_broker.authoring import lines

TEMPLATES = Path(__file__).parent / "templates"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_NAME = 30  # room for "-large" and 12 characters of an instance's own
IDS = ("service_id", "small_id", "large_id")


class CannotInit(Exception):
    """There is no writing of such a role there."""


@dataclass(frozen=True)
class Made:
    """What was written."""

    role: Path
    apb_name: str  # as apb.yml names it
    service: str
    collection: Path | None = None
    files: tuple[Path, ...] = ()


def make(name: str, *, collection: Path | None = None, services_path: Path | None = None) -> Made:
    """Writes the role in a collection or in a folder of roles; without either, in the collection around the working directory.

    All or nothing: a role is there with all its files or not at all. Raises CannotInit.
    """
    _check_name(name)
    if collection and services_path:
        raise CannotInit("name a collection or a services_path, not both")
    if services_path is None:
        collection = _collection(collection)
    role = (collection / "roles" if collection else services_path or Path()) / name
    if role.exists():
        raise CannotInit(f"{role} exists already: choose another name, or remove it first")
    values = {"role": name, "service": name.replace("_", "-"), "title": name.replace("_", " ").capitalize()}
    values |= {name: str(uuid.uuid4()) for name in IDS}
    values["full_name"] = f"{_full_name(collection)}.{name}" if collection else name
    files = _write(TEMPLATES / "role", role, values)
    scenario = collection / "molecule" / name if collection else None
    if scenario and not scenario.exists():
        files += _write(TEMPLATES / "molecule", scenario, values)
    return Made(role, values["full_name"], values["service"], collection, tuple(files))


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise CannotInit(
            f"{name!r} cannot be the name of a role: lower-case letters, digits and single underscores, "
            f"beginning with a letter, at most {LONGEST_NAME} characters"
        )


def _collection(given: Path | None) -> Path:
    if given is not None and not (given / "galaxy.yml").is_file():
        raise CannotInit(f"{given} is not a collection: it has no galaxy.yml (`ansible-galaxy collection init` makes one)")
    here = Path.cwd()
    found = given or next((folder for folder in (here, *here.parents) if (folder / "galaxy.yml").is_file()), None)
    if found is None:
        raise CannotInit("no galaxy.yml here or above: go to a collection, or say where by --collection or --services-path")
    return found


def _full_name(collection: Path) -> str:
    try:
        galaxy = lines.read(collection / "galaxy.yml")
        return f"{galaxy['namespace']}.{galaxy['name']}"
    except (lines.Unreadable, LookupError, TypeError) as error:
        raise CannotInit(f"{collection / 'galaxy.yml'} does not say namespace and name: {error}") from error


def _write(source: Path, destination: Path, values: dict[str, str]) -> list[Path]:
    """A filled-in copy of a folder, moved to its place as a whole."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        for path in _files(source):
            copy = made / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_filled(path.read_text(encoding="utf-8"), values), encoding="utf-8")
        made.chmod(0o777 & ~_umask())
        made.rename(destination)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise CannotInit(f"{destination}: {error.strerror or error}") from error
    return [destination / path.relative_to(source) for path in _files(source)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda found: values[found.group(1)], text)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
