"""Rules on what tasks do: what an action must not do, what it begins with, what it costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from apb_broker.authoring import lines, tasks
from apb_broker.authoring.findings import Finding
from apb_broker.authoring.role import Role

INSTALLERS = frozenset(
    "apk apt apt_key apt_repository deb822_repository dnf dnf5 dpkg_selections gem homebrew npm package pacman pip pipx portage rpm_key "  # noqa: SIM905
    "snap yum yum_repository zypper zypper_repository".split()
)
STARTERS = frozenset("runit service supervisorctl systemd systemd_service sysvinit".split())  # noqa: SIM905
INSTALLING_PROGRAMS = frozenset("apk apt apt-get dnf dpkg gem npm pip pip3 pipx rpm snap yum zypper".split())  # noqa: SIM905
STARTING_PROGRAMS = frozenset("daemonize nohup service setsid start-stop-daemon supervisorctl supervisord systemctl".split())  # noqa: SIM905
COMMANDS = frozenset({"ansible.builtin.command", "ansible.builtin.shell", "ansible.builtin.raw", "ansible.builtin.expect"})

# Each module task costs 0.3 to 0.5 s beside the second that a run takes anyhow. Eight of them are about three seconds: a server of its own
# (home, configuration, accounts, unit, start, settings, rights) fits, and nobody waits for longer than a deep breath.
MOST_MODULE_TASKS = 8
IN_PROCESS = frozenset(
    f"ansible.builtin.{name}"
    for name in (  # noqa: SIM905
        "add_host assert debug fail group_by import_role import_tasks include_role include_tasks include_vars meta pause set_fact "
        "set_stats validate_argument_spec"
    ).split()
) | {"apb.catalog.publish"}

HOME = "apb.catalog.instance_home"
MAKES_UP = re.compile(
    r"\|\s*(?:ansible\.builtin\.)?(random|random_mac|community\.general\.random_\w+|community\.general\.random_mac)\b"
    r"|(?:lookup|query|q)\(\s*['\"](?:ansible\.builtin\.|community\.general\.)?(password|random_string|random_pet|random_words)['\"]"
)


def full_module_names(role: Role) -> Iterator[Finding]:
    """Modules have their full names: `ansible.builtin.copy`, not `copy`."""
    for task in role.tasks:
        if not task.module:
            kind = next((name for name in ("action", "local_action") if name in task.raw), "")
            message = f"has `{kind}`: name the module itself" if kind else "has no module: say what it does"
            yield Finding(task.path, task.line, f"task {message}")
        elif task.module.count(".") < 2:
            name = f"ansible.builtin.{task.module}" if "." not in task.module else "NAMESPACE.COLLECTION.MODULE"
            yield Finding(task.path, task.module_line, f"{task.module} is not a full name: write {name}, if that is meant")


def no_installation(role: Role) -> Iterator[Finding]:
    """No action installs packages: `tasks/host/prepare.yml` does, once per host, by the playbook prepare_host."""
    for task in _of_actions(role):
        if _short(task) in INSTALLERS or _program(task) in INSTALLING_PROGRAMS:
            what = _program(task) or _short(task)
            yield Finding(task.path, task.module_line, f"{what} installs something in an action: move it to tasks/host/prepare.yml")


def no_start(role: Role) -> Iterator[Finding]:
    """No action starts a server or supervisor: the end of a run ends what it started. Role `apb.catalog.host_instance` starts servers."""
    for task in _of_actions(role):
        is_module = _short(task) in STARTERS
        if is_module or _program(task) in STARTING_PROGRAMS:
            what = _program(task) or _short(task)
            message = f"{what} starts something that would end with the run: include start.yml of role apb.catalog.host_instance"
            yield Finding(task.path, task.module_line, message)
        elif "async" in task.raw:
            message = "async leaves something running that would end with the run: let the task wait, or start a server by host_instance"
            yield Finding(task.path, task.raw.lines["async"], message)


def _of_actions(role: Role) -> list[tasks.Task]:
    """The role's own tasks that actions come to, each once."""
    found = {
        (task.path, task.line): task
        for path in role.actions.values()
        if path in role.task_files
        for task in _reached(role, path, foreign=False)
    }
    return list(found.values())


def _reached(role: Role, path: Path, *, foreign: bool) -> Iterator[tasks.Task]:
    return (task for task in tasks.reached(path, role.directory, foreign=foreign) if task.path in role.task_files or foreign)


def _short(task: tasks.Task) -> str:
    return task.module.rpartition(".")[2]


def _program(task: tasks.Task) -> str:
    """The program that a command names first; "" for anything else."""
    if task.module not in COMMANDS and task.module.rpartition(".")[2] not in ("command", "shell", "raw"):
        return ""
    words = task.args.get("argv") or str(task.args.get("cmd") or task.args.get(tasks.FREE_FORM) or "").split()
    first = [str(word) for word in words if not str(word).startswith("-") and "=" not in str(word)] if isinstance(words, list) else []
    named = [word.rpartition("/")[2] for word in first if word not in ("sudo", "env", "exec")]
    if named[:1] and re.fullmatch(r"python[0-9.]*", named[0]) and named[1:2] == ["pip"]:
        return "pip"
    return named[0] if named else ""


def fence_first(role: Role) -> Iterator[Finding]:
    """What changes a host begins with `apb.catalog.instance_home` (role `host_instance`: `home`, `absent`), which refuses old runs."""
    for action, path in role.actions.items():
        if not action.startswith("host/") or action.endswith("/survey") or path not in role.task_files:
            continue
        first = next((task for task in tasks.reached(path, role.directory) if _costs(task)), None)
        if first is None or first.module == HOME:
            continue
        begins = "absent.yml" if action.endswith("/deprovision") else "home.yml"
        message = (
            f"begins with {first.module}, so a run that was given up could still do harm: first include {begins} of role host_instance"
        )
        yield Finding(path, 1, message)


def no_facts(role: Role) -> Iterator[Finding]:
    """No task gathers facts: it costs seconds, and the caller says all there is to know."""
    for task in _of_actions(role):
        if _short(task) in ("setup", "gather_facts"):
            message = "gathers facts, which costs a second or more: use what the contract gives, or one module that looks at one thing"
            yield Finding(task.path, task.module_line, message)


def nothing_made_up(role: Role) -> Iterator[Finding]:
    """Names and passwords come from the caller: no action makes one up, since a second run would make another."""
    for task in _of_actions(role):
        found = next((match for text in lines.texts(task.raw) if (match := MAKES_UP.search(text))), None)
        if found:
            word = found.group(1) or found.group(2)
            message = f"'{word}' makes a value up, a second run another one: use apb_instance.names, apb_instance.secrets or apb_binding"
            yield Finding(task.path, task.line, message)


def module_tasks(role: Role) -> Iterator[Finding]:
    """An action has at most 8 module tasks, those of included files counted: each costs 0.3 to 0.5 s."""
    for action, path in role.actions.items():
        if path not in role.task_files:
            continue
        number = count(path, role.directory)
        if number > MOST_MODULE_TASKS:
            message = (
                f"{action} has {number} module tasks, {MOST_MODULE_TASKS} are a good limit: write one module for what belongs together"
            )
            yield Finding(path, 1, message)


def count(path: Path, role: Path, seen: frozenset[Path] = frozenset()) -> int:
    """The module tasks of a run through this file; of included files that exclude each other, those of the longest."""
    if path in seen:
        return 0
    number = 0
    for task in tasks.read(path):
        included = tasks.target(task, role)
        if task.in_rescue:
            continue
        if included is not None and included.role is not None:
            number += max((count(file, included.role, seen | {path}) for file in included.files), default=0)
        elif _costs(task):
            number += 1
    return number


def _costs(task: tasks.Task) -> bool:
    return bool(task.module) and task.module not in IN_PROCESS and not task.in_rescue
