"""Why a host could not be worked on, in one sentence that names host and cure, made of what ssh, sudo and Ansible say
about it. Which task it was, and what else can go wrong in one, is left to `transcript`.
"""

import re
from dataclasses import dataclass
from typing import Any

_LOCAL = ("localhost", "127.0.0.1")
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Problem:
    """What is wrong, for people; and whether it may heal while we wait."""

    sentence: str
    is_transient: bool


# The first that fits counts. {1} is the pattern's first group. Transient: what an outage, or an operator who is at it,
# may end within minutes. Not: wrong passwords, since trying them again locks accounts, and host keys, since a changed
# one may be an attack.
_OF_CONNECTION = (
    (
        r"Connection refused",
        True,
        "{host} refuses connections: start sshd there, or correct ansible_host and ansible_port in the inventory",
    ),
    (
        r"No route to host|Network is unreachable",
        True,
        "{host} cannot be reached, there is no way to it: switch it on, or correct its ansible_host in the inventory",
    ),
    (
        r"Could not resolve hostname (\S+?):",
        True,
        "{host} cannot be found, no name server knows '{1}': correct its ansible_host in the inventory",
    ),
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        False,
        "{host} has another host key than the known one, so somebody else may be answering: only if it was installed anew, remove the old "
        "key by 'ssh-keygen -R' and add the new one to the worker's known_hosts",
    ),
    (
        r"Host key verification failed|host key is known for",
        False,
        "{host} has a host key that is not known: compare it with the host's own, then add it to the worker's known_hosts",
    ),
    (
        r"(?:(\S+)@\S+: )?Permission denied \(",
        True,
        "{host} refuses the login of '{1}': put the public key into its authorized_keys, or correct ansible_user and "
        "ansible_ssh_private_key_file in the inventory",
    ),
    (
        r"timed out|Connection (?:reset|closed)|closed by remote|Broken pipe|Timeout|Data could not be sent to remote host",
        True,
        "{host} does not answer any more: see whether it is up and nothing between it and the worker drops connections to its sshd",
    ),
)
_OF_TASKS = (
    (r"Incorrect \S+ password|incorrect password attempt", False, "{host} refuses the become password: correct ansible_become_password"),
    (r"Missing \S+ password|a password is required", False, "{host} wants a become password: set ansible_become_password, vaulted"),
    (
        r"is not in the sudoers file|is not allowed to (?:run sudo|execute)|may not run sudo",
        False,
        "{host} does not let the login user become root: give it the right in sudoers",
    ),
    (
        r"must have a tty to run sudo|you must have a tty",
        False,
        "{host} lets sudo run on terminals only: put 'Defaults:USER !requiretty' into its sudoers, or set ansible_pipelining: false for it",
    ),
    (
        r"no vault secrets (?:found|were found)|undecryptable variable",
        False,
        "{host} has vaulted variables that cannot be opened: let ANSIBLE_VAULT_PASSWORD_FILE of the worker name their password's file",
    ),
    (
        r"interpreter '?([^' ]+)'? was not found|No python interpreters found|sh: (?:\d+: )?(\S*python\S*): not found",
        False,
        "{host} has no Python where Ansible looks for it: install python3 (3.11 or newer) there, or set its ansible_python_interpreter",
    ),
    (
        r"\[Errno (?:28|122)\]|mkdir: .*No space left|failed to transfer file to [\s\S]*No space left",
        True,
        "{host} has a full disk ({reason}): make room there",
    ),
)


def of_unreachable(host: str, result: dict[str, Any], reason: str) -> Problem:
    """Of a host that Ansible could not talk to."""
    found = _find((*_OF_CONNECTION, *_OF_TASKS), host, reason, reason)
    return found or Problem(f"Host {host} cannot be reached: {_short(reason)}", is_transient=True)


def of_failed(host: str, result: dict[str, Any], reason: str) -> Problem | None:
    """Of a task's failure, if it is the host's and not the task's own."""
    said = result.get("module_stderr") if isinstance(result.get("module_stderr"), str) else ""
    printed = result.get("module_stdout") if isinstance(result.get("module_stdout"), str) else ""
    return _find(_OF_TASKS, host, "\n".join((reason, said or "", printed or "")), reason)


def of_playbook(said: str) -> Problem | None:
    """Of what ansible-playbook says itself, outside of any task."""
    if re.search(r"\[Errno (?:28|122)\]", said):  # ansible-runner keeps events in files, so that anything it says may need room
        return Problem("This machine has no room left where runs keep their files: make room there", True)
    missing = re.search(r"The vault password file (\S+) was not found", said)
    if missing is None:
        return None
    return Problem(f"The vault password file {missing[1]} does not exist: let ANSIBLE_VAULT_PASSWORD_FILE of the worker name it", False)


def has_full_disk(reason: str) -> bool:
    """Whatever wrote and could not: on the host itself, or on a server that it spoke to."""
    return "No space left on device" in reason


def _find(patterns: tuple[tuple[str, bool, str], ...], host: str, text: str, reason: str) -> Problem | None:
    name = "This machine" if host in _LOCAL else f"Host {host}"
    for pattern, is_transient, sentence in patterns:
        if found := re.search(pattern, text):
            group = found[1] if found.lastindex else ""
            return Problem(sentence.replace("{host}", name).replace("{1}", group or "").replace("{reason}", _short(reason)), is_transient)
    return None


def _short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 2] + " …"
