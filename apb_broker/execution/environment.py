"""The environment of a run: nothing of the worker's but what is listed here. ansible-runner writes a copy of it to a
file, and every task can read it.

Operators steer Ansible by these variables of the worker (and by the ansible.cfg that ANSIBLE_CONFIG names; one in the
worker's directory is not found). All of them are paths, names or switches; passwords go into the files that the
`_FILE` variables name.
"""

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

PASSED = (
    "HOME",
    "USER",
    "LOGNAME",
    "TZ",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",  # the path of a socket; keys stay in the agent
    "ANSIBLE_HOST_KEY_CHECKING",
    "ANSIBLE_REMOTE_USER",
    "ANSIBLE_SSH_ARGS",
    "ANSIBLE_SSH_COMMON_ARGS",
    "ANSIBLE_SSH_EXTRA_ARGS",
    "ANSIBLE_SSH_RETRIES",
    "ANSIBLE_TIMEOUT",
    "ANSIBLE_PIPELINING",
    "ANSIBLE_REMOTE_TEMP",
    "ANSIBLE_REMOTE_TMP",
)
PASSED_PATHS = (
    "ANSIBLE_CONFIG",
    "ANSIBLE_COLLECTIONS_PATH",
    "ANSIBLE_ROLES_PATH",
    "ANSIBLE_PRIVATE_KEY_FILE",
    "ANSIBLE_VAULT_PASSWORD_FILE",
    "ANSIBLE_BECOME_PASSWORD_FILE",
    "ANSIBLE_CONNECTION_PASSWORD_FILE",
)
# Unless the operator's environment or ansible.cfg says otherwise, by the option of that name:
SSH_DEFAULTS = {
    # Without it a module lies with its arguments, passwords among them, in a file on the host, and stays there when ssh is cut.
    "ANSIBLE_PIPELINING": ("pipelining", "True"),
    # Without ServerAlive a task whose host has vanished is waited for until the operation's deadline.
    "ANSIBLE_SSH_ARGS": ("ssh_args", "-C -o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=5 -o ServerAliveCountMax=3"),
}
REMOTE_TEMPORARY = "~/.ansible/tmp"  # Ansible's default
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def of_run(worker: Mapping[str, str]) -> dict[str, str]:
    """The environment of a supervisor and all below it, made from the worker's."""
    environment = {name: worker[name] for name in PASSED if name in worker}
    environment |= {name: _absolute(worker[name]) for name in PASSED_PATHS if worker.get(name)}
    said = _said_in_configuration(worker)
    environment |= {name: value for name, (option, value) in SSH_DEFAULTS.items() if name not in environment and option not in said}
    programs = str(Path(sys.executable).parent)  # ansible-playbook of this installation, not one found elsewhere
    environment |= {"PATH": f"{programs}:{worker.get('PATH') or DEFAULT_PATH}", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    return environment


def configuration_files(worker: Mapping[str, str]) -> list[Path]:
    """The files of which Ansible takes the first that exists as its ansible.cfg."""
    places = [worker.get("ANSIBLE_CONFIG"), f"{worker['HOME']}/.ansible.cfg" if worker.get("HOME") else None, "/etc/ansible/ansible.cfg"]
    paths = [Path(place).expanduser() for place in places if place]
    return [path / "ansible.cfg" if path.is_dir() else path for path in paths]


def remote_temporary(worker: Mapping[str, str], slug: str, epoch: int) -> str | None:
    """Ansible's temporary directory on the host of an instance, for one run: where the operator wants it, and by a name that
    tells whose it is, by which module_utils/host_temporary.py removes what a killed task left.

    For a variable. None where the operator wrote a template: tasks that are delegated take such a variable as it is written.
    """
    said = worker.get("ANSIBLE_REMOTE_TEMP") or worker.get("ANSIBLE_REMOTE_TMP") or _said_in_configuration(worker).get("remote_tmp")
    place = (said or REMOTE_TEMPORARY).rstrip("/")
    return None if "{{" in place else f"{place}/apb-{slug}/{epoch}"


def _said_in_configuration(worker: Mapping[str, str]) -> dict[str, str]:
    """The options in the ansible.cfg that Ansible will find. One that cannot be read is its to complain of."""
    for path in configuration_files(worker):
        if path.exists():
            parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))  # as Ansible reads it
            try:
                parser.read(path)
            except (configparser.Error, OSError, UnicodeDecodeError):
                return {}
            return {option: value for section in parser.sections() for option, value in parser.items(section)}
    return {}


def _absolute(paths: str) -> str:
    return ":".join(str(Path(path).expanduser().absolute()) for path in paths.split(":") if path)


def of_ansible(directory: Path) -> dict[str, str]:
    """What is set for ansible-playbook on top: whatever a killed task leaves behind lies in the run's directory and vanishes with it."""
    return {
        "TMPDIR": str(directory / "tmp"),
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        # A shared ControlPersist master would die with the run that started it, under the others' tasks.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
        "ANSIBLE_NO_TARGET_SYSLOG": "True",  # modules log their arguments otherwise
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }


def keep_host_key_checking(runner_environment: dict[str, str]) -> None:
    """Undo ansible-runner's switching it off: it is the operator's decision, and on by default."""
    if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:
        runner_environment.pop("ANSIBLE_HOST_KEY_CHECKING", None)
