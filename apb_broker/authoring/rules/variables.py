"""Rules on whose variables are called what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apb_broker.authoring import lines, tasks
from apb_broker.authoring.findings import Finding
from apb_broker.authoring.role import Role

CONTRACT = "apb_"
ORDINARY_PLAY = "main.yml"  # the door for ordinary plays hands the contract's variables on


def defaults_names(role: Role) -> Iterator[Finding]:
    """Variables in `defaults/main.yml` are the operator's and begin with `<role>_`."""
    path, prefix = role.variables_path("defaults"), f"{role.name}_"
    for name, line in role.variables("defaults").lines.items():
        if not name.startswith((prefix, CONTRACT)):
            yield Finding(path, line, f"{name} does not begin with {prefix}: operators find a role's settings by this prefix; rename it")


def constants_names(role: Role) -> Iterator[Finding]:
    """Variables in `vars/main.yml` are the role's constants and begin with `_<role>_`."""
    path, prefix = role.variables_path("vars"), f"_{role.name}_"
    for name, line in role.variables("vars").lines.items():
        if not name.startswith((prefix, CONTRACT)):
            yield Finding(path, line, f"{name} does not begin with {prefix}: other roles in the same play see it too; rename it")


def documented_defaults(role: Role) -> Iterator[Finding]:
    """Where there is a `meta/argument_specs.yml`, its entry `main` has every variable of `defaults/main.yml`."""
    path = role.directory / "meta" / "argument_specs.yml"
    if not path.is_file():
        return
    try:
        specs: Any = lines.read(path) or {}
    except lines.Unreadable:
        return
    options = ((specs.get("argument_specs") or {}).get("main") or {}).get("options") or {}
    for name, line in role.variables("defaults").lines.items():
        if name.startswith(f"{role.name}_") and name not in options:
            message = f"{name} is not in meta/argument_specs.yml: describe it under argument_specs.main.options"
            yield Finding(role.variables_path("defaults"), line, message)


def registers_names(role: Role) -> Iterator[Finding]:
    """What tasks register, set as facts or loop with begins with `__<role>_`; variables of a task or block with that, `_<role>_` or
    `ansible_`, those for an included role with that role's name."""
    own = f"__{role.name}_"
    for task in role.tasks:
        for name, line in _made(task):
            if not name.startswith((own, CONTRACT)):
                yield Finding(task.path, line, f"{name} does not begin with {own}: other roles in the same play see it too; rename it")
        included = tasks.target(task, role.directory)
        other = (f"{included.role.name}_",) if included and included.role and included.role != role.directory else ()
        yield from _wrong_variables(task.path, task.raw.get("vars"), role.name, other)
    for path in role.task_files:
        for block in tasks.blocks(path):
            yield from _wrong_variables(path, block.get("vars"), role.name, ())


def _wrong_variables(path: Path, given: Any, role: str, others: tuple[str, ...]) -> Iterator[Finding]:
    allowed = (f"__{role}_", f"_{role}_", "ansible_", *others)
    for name, line in given.lines.items() if isinstance(given, lines.Mapping) else ():
        if not name.startswith((*allowed, CONTRACT)):
            yield Finding(path, line, f"variable {name} does not begin with {' or '.join((allowed[0], *others))}: rename it")


def _made(task: tasks.Task) -> Iterator[tuple[str, int]]:
    if isinstance(task.raw.get("register"), str):
        yield task.raw["register"], task.raw.lines["register"]
    control = task.raw.get("loop_control")
    for name in ("loop_var", "index_var"):
        if isinstance(control, lines.Mapping) and name in control:
            yield control[name], control.lines[name]
    if task.module == "ansible.builtin.set_fact":
        yield from ((name, getattr(task.raw[task.module], "lines", {}).get(name, task.line)) for name in task.args if name != "cacheable")


def contract_variables(role: Role) -> Iterator[Finding]:
    """`apb_*` variables belong to the contract: no role sets one (`tasks/main.yml`, for ordinary plays, hands them on)."""
    for folder in ("defaults", "vars"):
        for name, line in role.variables(folder).lines.items():
            if name.startswith(CONTRACT):
                yield _set(role.variables_path(folder), line, name, role)
    door = role.directory / "tasks" / ORDINARY_PLAY
    for path in role.task_files:
        given = [task.raw.get("vars") for task in tasks.read(path)] + [block.get("vars") for block in tasks.blocks(path)]
        named = [pair for one in given if isinstance(one, lines.Mapping) for pair in one.lines.items()]
        for name, line in [*named, *(pair for task in tasks.read(path) for pair in _made(task))]:
            if name.startswith(CONTRACT) and path != door:
                yield _set(path, line, name, role)


def _set(path: Path, line: int, name: str, role: Role) -> Finding:
    return Finding(
        path, line, f"{name} is set here, but apb_* belongs to the contract: call it __{role.name}_{name.removeprefix(CONTRACT)}"
    )
