"""A role that wants to be a service, as its rules see it; and how such roles are found below what was named.

Reads files on demand and judges nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.authoring import lines, tasks

LIFECYCLE = ("provision", "update", "deprovision")
BINDING = ("bind", "unbind")


class NothingFound(Exception):
    """There is no service where one was looked for."""


@dataclass(frozen=True)
class Role:
    """One role's folder."""

    directory: Path

    @property
    def name(self) -> str:
        """The folder's name, which its variables begin with."""
        return self.directory.name

    @property
    def description_path(self) -> Path:
        """Its service.yml."""
        return self.directory / "meta" / "service.yml"

    @functools.cached_property
    def description(self) -> service.Service | None:
        """What tenants see; None when it cannot be loaded, which is a finding of its own."""
        try:
            return service.load(self.description_path)
        except service.ServiceError:
            return None

    @functools.cached_property
    def raw(self) -> Any:
        """service.yml with its lines; None when it cannot be read."""
        try:
            return lines.read(self.description_path)
        except lines.Unreadable:
            return None

    def line(self, field: str) -> int:
        """The line of a dotted place in service.yml."""
        return lines.of_field(self.raw, field)

    @property
    def modes(self) -> list[str]:
        """The modes its plans run in."""
        plans = self.description.plans if self.description else ()
        return sorted({mode for plan in plans for mode in service.MODES_OF[plan.tenancy]})

    @property
    def is_bindable(self) -> bool:
        """Whether it hands out credentials."""
        return self.description is not None and self.description.bindable

    def task_file(self, action: str) -> Path:
        """The file of an action, such as host/provision or bind."""
        return self.directory / "tasks" / f"{action}.yml"

    @functools.cached_property
    def actions(self) -> dict[str, Path]:
        """The files where runs begin, as far as they exist: {"host/provision": …, "bind": …}."""
        names = [f"{mode}/{action}" for mode in self.modes for action in (*LIFECYCLE, "survey")] + [*BINDING, "verify"]
        return {name: self.task_file(name) for name in names if self.task_file(name).is_file()}

    @functools.cached_property
    def task_files(self) -> list[Path]:
        """All its task files that can be read."""
        return [path for path in self._all_task_files if _is_readable(path)]

    @property
    def _all_task_files(self) -> list[Path]:
        return sorted(path for folder in ("tasks", "handlers") for path in (self.directory / folder).rglob("*.y*ml"))

    @functools.cached_property
    def unreadable(self) -> list[tuple[Path, lines.Unreadable]]:
        """Files that are not what Ansible could read, and why."""
        found = []
        for path in self._all_task_files:
            try:
                tasks.read(path)
            except lines.Unreadable as error:
                found.append((path, error))
        for path in (*map(self.variables_path, ("defaults", "vars")), self.directory / "meta" / "argument_specs.yml"):
            try:
                is_wrong = path.is_file() and not isinstance(lines.read(path), dict | None)
                if is_wrong:
                    found.append((path, lines.Unreadable(1, "is not names and values")))
            except lines.Unreadable as error:
                found.append((path, error))
        return found

    @functools.cached_property
    def tasks(self) -> list[tasks.Task]:
        """Every task in every file."""
        return [task for path in self.task_files for task in tasks.read(path)]

    def variables_path(self, folder: str) -> Path:
        """The main file of `defaults` or `vars`."""
        return self.directory / folder / "main.yml"

    def variables(self, folder: str) -> lines.Mapping:
        """What `defaults` or `vars` set, with lines."""
        empty = lines.Mapping()
        empty.line, empty.lines = 1, {}
        try:
            content = lines.read(self.variables_path(folder)) if self.variables_path(folder).is_file() else None
        except lines.Unreadable:
            return empty
        return content if isinstance(content, lines.Mapping) else empty


def _is_readable(path: Path) -> bool:
    try:
        tasks.read(path)
    except lines.Unreadable:
        return False
    return True


def is_service(folder: Path) -> bool:
    """Whether the role there describes a service."""
    return (folder / "meta" / "service.yml").is_file()


def find(paths: list[Path]) -> list[Role]:
    """The services below these paths: roles, collections, or folders of roles. Raises NothingFound."""
    found: dict[Path, Role] = {}
    for path in paths or [around(Path.cwd())]:
        below = list(_below(path.absolute()))
        if not below:
            raise NothingFound(f"{path}: no service here: name a role with meta/service.yml, a collection, or a folder of such roles")
        found |= {folder: Role(folder) for folder in below}
    return list(found.values())


def _below(path: Path) -> Iterator[Path]:
    roles = path / "roles"
    if is_service(path) or (path / "tasks").is_dir():
        yield path
    elif path.is_dir():
        yield from sorted(folder for folder in (roles if roles.is_dir() else path).iterdir() if is_service(folder))


def around(folder: Path) -> Path:
    """The role or collection that this folder is part of; else the folder itself."""
    return next((path for path in (folder, *folder.parents) if is_service(path) or (path / "galaxy.yml").is_file()), folder)
