"""Rules on which files a service has, and on what those name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from apb_broker.authoring import tasks
from apb_broker.authoring.findings import Finding
from apb_broker.authoring.role import BINDING, LIFECYCLE, Role

SOURCES = {"ansible.builtin.template": "templates", "ansible.builtin.copy": "files", "ansible.builtin.script": "files"}


def readable_files(role: Role) -> Iterator[Finding]:
    """Task files, defaults and vars are YAML that Ansible can read."""
    for path, error in role.unreadable:
        yield Finding(path, error.line, f"{error.message}: correct it")


def task_files(role: Role) -> Iterator[Finding]:
    """Each mode of the plans (dedicated: host, shared: shared) has its folder with `provision`, `update`, `deprovision` (host: also
    `prepare`; `survey` may be there, for `apb doctor`); `verify`, and for services with `bind` also `bind` and `unbind`, are there once."""
    if role.description is None:
        return
    for mode in role.modes:
        for action in (*LIFECYCLE, "prepare") if mode == "host" else LIFECYCLE:
            if not role.task_file(f"{mode}/{action}").is_file():
                why = "every plan of this tenancy needs it" if action != "prepare" else "prepare_host includes it; it may be empty"
                yield Finding(role.directory, 1, f"tasks/{mode}/{action}.yml is missing: {why}")
    for action in (*BINDING, "verify") if role.is_bindable else ("verify",):
        if not role.task_file(action).is_file():
            yield Finding(role.directory, 1, f"tasks/{action}.yml is missing: every mode shares it")


def client(role: Role) -> Iterator[Finding]:
    """A service that can be bound has `tests/client.py`, a Python program that uses it as a tenant would."""
    path = role.directory / "tests" / "client.py"
    if not role.is_bindable:
        return
    if not path.is_file():
        message = "tests/client.py is missing: a program that reads credentials on stdin and exits 0 (they work) or 3 (refused)"
        yield Finding(role.directory, 1, message)
        return
    try:
        ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        yield Finding(path, getattr(error, "lineno", None) or 1, f"is not Python: {getattr(error, 'msg', error)}; correct it")


def included_files(role: Role) -> Iterator[Finding]:
    """Task files and roles that are included, templates and files that are sent, exist."""
    for task in role.tasks:
        included = tasks.target(task, role.directory)
        if included is not None and not included.files:
            yield Finding(task.path, task.module_line, f"includes {included.named}, which does not exist: correct the name, or write it")
        elif included is None and task.module in tasks.INCLUDES_ROLE and "{{" not in str(task.args.get("name", "{{")):
            message = f"includes role {task.args['name']}, which is not installed here: correct the name, or install its collection"
            yield Finding(task.path, task.module_line, message)
        yield from _missing_source(role.directory, task)


def _missing_source(role: Path, task: tasks.Task) -> Iterator[Finding]:
    folder = SOURCES.get(task.module)
    source = str(task.args.get("src") or "")
    if folder is None or not source or "{{" in source or source.startswith(("/", "~")) or task.args.get("remote_src"):
        return
    if not any((place / source).exists() for place in (role / folder, role, task.path.parent)):
        yield Finding(task.path, task.module_line, f"sends {folder}/{source}, which does not exist: correct the name, or write it")
