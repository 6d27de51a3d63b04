"""Task files as lint sees them: flat lists of tasks that know what they inherit from their blocks, and what they include.

Owns how Ansible finds included files and roles. Judging what is found is left to rules/.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apb_broker.authoring import lines
from apb_broker.catalog import roles

# From Ansible's documentation, "Playbook keywords".
_KEYWORDS = """
action any_errors_fatal args async become become_exe become_flags become_method become_user changed_when check_mode collections
connection debugger delay delegate_facts delegate_to diff environment failed_when ignore_errors ignore_unreachable listen local_action
loop loop_control module_defaults name no_log notify poll port register remote_user retries run_once tags throttle timeout until vars
when
"""
KEYWORDS = frozenset(_KEYWORDS.split())
BLOCKS = ("block", "rescue", "always")
INCLUDES_TASKS = ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks", "include_tasks", "import_tasks")
INCLUDES_ROLE = ("ansible.builtin.include_role", "ansible.builtin.import_role", "include_role", "import_role")
FREE_FORM = "_raw_params"
_TEMPLATE = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)


@dataclass(frozen=True)
class Task:
    """One task, with what its blocks give it."""

    path: Path
    raw: lines.Mapping
    module: str
    no_log: bool = False
    environment: tuple[Any, ...] = ()
    in_rescue: bool = False

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.raw.line

    @property
    def module_line(self) -> int:
        """Where its module is named."""
        return self.raw.lines.get(self.module, self.line)

    @property
    def args(self) -> dict[str, Any]:
        """The module's arguments; those in free form are FREE_FORM."""
        given = self.raw.get(self.module)
        named = given if isinstance(given, dict) else {} if given is None else {FREE_FORM: given}
        more = self.raw.get("args")
        return {**named, **(more if isinstance(more, dict) else {})}


@dataclass(frozen=True)
class _Inherited:
    no_log: bool = False
    environment: tuple[Any, ...] = ()
    in_rescue: bool = False

    def under(self, raw: lines.Mapping, part: str) -> _Inherited:
        more = (raw["environment"],) if "environment" in raw else ()
        no_log = raw.get("no_log", self.no_log) is not False
        return _Inherited(no_log, self.environment + more, self.in_rescue or part == "rescue")


@functools.lru_cache(maxsize=512)
def read(path: Path) -> tuple[Task, ...]:
    """The tasks of a file, those in blocks included. Raises lines.Unreadable."""
    content = lines.read(path)
    if content is None:
        return ()
    if not isinstance(content, list):
        raise lines.Unreadable(1, "is not a list of tasks")
    return tuple(_flat(path, content, _Inherited()))


def blocks(path: Path) -> list[lines.Mapping]:
    """The blocks of a file, whose variables count as their tasks' do."""
    found: list[lines.Mapping] = []
    waiting = list(lines.read(path) or ())
    while waiting:
        raw = waiting.pop()
        if isinstance(raw, lines.Mapping) and "block" in raw:
            found.append(raw)
            waiting += [inner for part in BLOCKS for inner in raw.get(part) or ()]
    return found


def _flat(path: Path, content: list[Any], inherited: _Inherited) -> Iterator[Task]:
    for raw in content:
        if not isinstance(raw, lines.Mapping):
            raise lines.Unreadable(getattr(raw, "line", getattr(content, "line", 1)), "is not a task: a task is a name and a module")
        if "block" in raw:
            for part in BLOCKS:
                yield from _flat(path, raw.get(part) or [], inherited.under(raw, part))
            continue
        module = next((key for key in raw if key not in KEYWORDS and not key.startswith("with_")), "")
        own = inherited.under(raw, "")
        yield Task(path, raw, module, own.no_log, own.environment, inherited.in_rescue)


@dataclass(frozen=True)
class Target:
    """What a task includes: the files it may be, and how it was named."""

    named: str
    files: tuple[Path, ...]
    is_computed: bool = False  # a template in its name: each file that may be meant
    role: Path | None = field(default=None)


def target(task: Task, role: Path) -> Target | None:
    """What the task includes; None when it includes nothing, or a role that cannot be known here."""
    if task.module in INCLUDES_TASKS:
        named = str(task.args.get("file") or task.args.get(FREE_FORM) or "")
        home = role / "tasks"
        return Target(named, _files((home, task.path.parent), named), _is_computed(named), role)
    if task.module in INCLUDES_ROLE:
        name = str(task.args.get("name") or task.args.get("role") or task.args.get(FREE_FORM) or "")
        other = None if _is_computed(name) else role_directory(name, role)
        if other is None:
            return None
        named = str(task.args.get("tasks_from", "main.yml"))
        return Target(f"{name}: {named}", _files((other / "tasks",), named), _is_computed(named), other)
    return None


def _is_computed(named: str) -> bool:
    return "{{" in named or "{%" in named


def _files(folders: tuple[Path, ...], named: str) -> tuple[Path, ...]:
    if _is_computed(named):
        pattern = _TEMPLATE.sub("*", named)
        return tuple(sorted(path for path in folders[0].glob(pattern) if path.is_file()))
    ends = ("",) if named.endswith((".yml", ".yaml")) else ("", ".yml", ".yaml")
    found = (folder / f"{named}{end}" for folder in folders for end in ends)
    return tuple(path for path in found if path.is_file())[:1]


def role_directory(name: str, role: Path) -> Path | None:
    """The folder of an included role, as seen from another one; None when it is not installed."""
    if name.count(".") != 2:
        beside = role.parent / name
        return beside if beside.is_dir() else None
    namespace, collection, short = name.split(".")
    own = role.parent.parent
    if (own / "galaxy.yml").is_file() and (role.parent / short).is_dir() and _full_name(own) == f"{namespace}.{collection}":
        return role.parent / short
    folders = (folder / namespace / collection / "roles" / short for folder in roles.collection_folders())
    return next((folder for folder in folders if folder.is_dir()), None)


@functools.lru_cache(maxsize=64)
def _full_name(collection: Path) -> str:
    try:
        galaxy = lines.read(collection / "galaxy.yml")
        return f"{galaxy['namespace']}.{galaxy['name']}"
    except (lines.Unreadable, LookupError, TypeError):
        return ""


def reached(path: Path, role: Path, *, foreign: bool = True, seen: frozenset[Path] = frozenset()) -> Iterator[Task]:
    """Every task that a run of this file may come to, in its order. Without `foreign`, only the role's own."""
    if path in seen or not path.is_file():
        return
    for task in read(path):
        yield task
        included = target(task, role)
        if included is None or included.role is None or (included.role != role and not foreign):
            continue
        for file in included.files:
            yield from reached(file, included.role, foreign=foreign, seen=seen | {path})
