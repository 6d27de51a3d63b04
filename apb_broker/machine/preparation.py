"""Prepares this machine for instances: the playbook `apb.catalog.prepare_host`, outside any run, so that the supervisor it starts stays.

What preparing means is left to the playbook; here is how it is run, and its failure in one sentence.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from apb_broker.machine import processes
from apb_broker.machine.errors import PreparationError

PLAYBOOK = "apb.catalog.prepare_host"
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 10.0
LOG_LIMIT_CHARACTERS = 1_000_000
SETTINGS = {
    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    "ANSIBLE_LOAD_CALLBACK_PLUGINS": "True",
    "ANSIBLE_NOCOLOR": "True",
    "ANSIBLE_DEPRECATION_WARNINGS": "False",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "ANSIBLE_NO_TARGET_SYSLOG": "True",
}


def prepare_host(
    directory: Path,
    log_file: Path,
    environment: Mapping[str, str],
    pause: Callable[[float], object],
    *,
    roles: Sequence[str],
    playbook: str = PLAYBOOK,
) -> None:
    """Runs the playbook for localhost, for instances of `roles` in `directory`. Raises PreparationError with the failed task's message.

    Its output goes to files: what it leaves running may hold them open, and would keep a pipe from ending. The json
    callback is the only output of ansible-playbook that tells a message apart from the rest for certain.
    """
    with (
        tempfile.TemporaryDirectory(prefix="apb-prepare-") as temporary,
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
    ):
        # A user of a service often has no home to put .ansible/tmp into.
        settings = {"ANSIBLE_LOCAL_TEMP": temporary, "ANSIBLE_REMOTE_TEMP": temporary, **SETTINGS}
        variables = {"apb_directory": str(directory), "apb_roles": list(roles)}
        process = _start(variables, dict(environment) | settings, playbook, output, errors)
        try:
            while process.poll() is None:
                pause(POLL_SECONDS)
        except BaseException:
            _end(process)
            raise
        report, complaint = _content(output), _content(errors)
    _keep(log_file, report, complaint)
    if process.returncode:
        raise PreparationError(f"this machine could not be prepared: {_reason(report, complaint)} (details: {log_file})")


def _start(
    variables: Mapping[str, Any], environment: Mapping[str, str], playbook: str, output: IO[str], errors: IO[str]
) -> subprocess.Popen[bytes]:
    variables = {**variables, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    # python -m: the script's first line may name an interpreter that this user cannot run.
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-e", json.dumps(variables), playbook]
    return subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        cwd="/",
        env=environment,
        start_new_session=True,
        preexec_fn=processes.dies_with_parent(signal.SIGTERM),  # itself; what it starts lives on
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # ansible ends its tasks at SIGTERM; a SIGKILL would leave them
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read(LOG_LIMIT_CHARACTERS)


def _keep(log_file: Path, report: str, complaint: str) -> None:
    """The last preparation's output, for who wants more than one sentence."""
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(complaint + report)


def _reason(report: str, complaint: str) -> str:
    """The message of the task that ended the play, or what ansible-playbook said when it came to no task."""
    try:
        plays = json.loads(report[report.index("{") :])["plays"]
        failed = [
            _message(task, result) for play in plays for task in play["tasks"] for result in task["hosts"].values() if _has_failed(result)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        failed = []
    if failed:
        return failed[-1]  # earlier ones were ignored or rescued
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    marked = [line.partition("ERROR")[2].lstrip("]:! ") for line in lines if "ERROR" in line]
    return (marked or lines or ["ansible-playbook gives no reason"])[0]


def _has_failed(result: dict[str, Any]) -> bool:
    return bool(result.get("failed") or result.get("unreachable"))


def _message(task: dict[str, Any], result: dict[str, Any]) -> str:
    if "censored" in result:
        return f"the task '{task['task']['name']}' failed, its output is hidden"
    text = str(result.get("msg") or result.get("stderr") or f"the task '{task['task']['name']}' failed").strip()
    return text.splitlines()[0].rstrip(".")
