"""Rules on where secrets may go: by argument of a module that hides it, by file or by stdin, never where others can look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apb_broker.authoring import lines, tasks
from apb_broker.authoring.findings import Finding
from apb_broker.authoring.role import Role
from apb_broker.authoring.rules.actions import COMMANDS
from apb_broker.authoring.secret_values import mentions, secret_pattern

ON_COMMAND_LINE = ("argv", "cmd", tasks.FREE_FORM, "command", "creates", "removes", "chdir", "executable")


def secrets_on_command_lines(role: Role) -> Iterator[Finding]:
    """No secret stands in the arguments or the environment of a program: everybody on the host can read them."""
    pattern = secret_pattern(role)
    for task in role.tasks:
        is_command = task.module in COMMANDS or task.module == "ansible.builtin.script"
        if is_command and _has(pattern, [task.args.get(name) for name in ON_COMMAND_LINE]):
            message = "a secret stands on a command line, which everybody on the host can read: give it by stdin or a file"
            yield Finding(task.path, task.module_line, message)
        if _has(pattern, task.environment):
            message = (
                "a secret stands in the environment, which every process of the run gets: give it by stdin, a file or a module's argument"
            )
            yield Finding(task.path, task.raw.lines.get("environment", task.line), message)


def shown_secrets(role: Role) -> Iterator[Finding]:
    """Tasks that would show a secret have `no_log: true`: those of `ansible.builtin` and publish that are given one (templates are looked
    into), and loops over secrets. Names of tasks never hold one."""
    pattern = secret_pattern(role)
    for task in role.tasks:
        if _has(pattern, [task.raw.get("name")]):
            yield Finding(task.path, task.line, "a secret stands in the task's name, which tenants see: take it out")
        if task.no_log:
            continue
        loops = [value for name, value in task.raw.items() if name == "loop" or name.startswith("with_")]
        if _has(pattern, loops):
            yield Finding(
                task.path, task.line, "loops over secrets, and what is looped over is shown: add no_log: true, or loop over names"
            )
        elif _shows(task) and (_has(pattern, list(task.args.values())) or _has(pattern, _template_texts(role.directory, task))):
            yield Finding(task.path, task.module_line, f"{task.module} is given a secret and would show it: add no_log: true")


def _shows(task: tasks.Task) -> bool:
    """Modules of Ansible's own do not know that a text is a secret; others declare which of their arguments are."""
    is_include = task.module in tasks.INCLUDES_TASKS + tasks.INCLUDES_ROLE
    return not is_include and (task.module.startswith("ansible.builtin.") or task.module == "apb.catalog.publish")


def _has(pattern: re.Pattern[str], value: Any) -> bool:
    values = list(value) if isinstance(value, tuple) else value
    return any(mentions(pattern, text) for text in lines.texts(values))


def _template_texts(role: Path, task: tasks.Task) -> list[str]:
    source = role / "templates" / str(task.args.get("src") or "")
    if task.module != "ansible.builtin.template" or "{{" in str(source) or not source.is_file():
        return []
    return [source.read_text(encoding="utf-8", errors="replace")]
