"""A playbook through ansible-runner in a fresh ansible-playbook; what its events mean is left to `transcript`.

Of ansible-runner's ways these are changed, each for a reason: extra variables go through a named pipe, so that no file
ever holds them (it would put them on the command line, or read them less strictly), published results are sealed with a
key of the run's (it hands events over in files), the inventory is a file written here, no output is kept, its signal
handlers are not installed, and ansible-playbook gets a parent-death signal (it would run on without it).
"""

import json
import os
import shlex
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import sealed_results

from apb_broker.execution import environment, playbook_runner, processes, unsafe
from apb_broker.execution.executors import Emit
from apb_broker.execution.job import Job, Outcome
from apb_broker.execution.transcript import Transcript

Begin = Callable[[list[str], dict[str, str]], None]
"""Called in the process that is to become ansible-playbook, with its command and environment, before it is executed."""


def run(job: Job, directory: Path, emit: Emit) -> Outcome:
    """Run the job's playbook and say how it ended. Takes over this process: environment, pexpect."""
    return play(job, directory, emit, lambda _command, _settings: None)


def play(job: Job, directory: Path, emit: Emit, begin: Begin) -> Outcome:
    """The same for any way in which ansible-playbook begins."""
    for name in ("env", "tmp", "cp", "remote", "async", "inventory"):
        (directory / name).mkdir(mode=0o700)
    publish_key = sealed_results.new_key()
    variables = {**job.variables, sealed_results.KEY_VARIABLE: publish_key}
    pipe = directory / "extravars"
    os.mkfifo(pipe, mode=0o600)
    text = unsafe.extravars(job.settings, variables)
    # The thread begins when this process forks no more, and ends with it when nobody opens the pipe.
    _tame_pexpect(begin, threading.Thread(target=pipe.write_text, args=(text,), daemon=True).start)
    os.environ.update(environment.of_ansible(directory))
    transcript = Transcript(emit, publish_key)
    runner = playbook_runner.new(
        directory,
        playbook=job.playbook,
        cmdline=shlex.join(["-e", f"@{pipe}"]),
        inventory=inventories(job, directory),
        event_handler=transcript.handle,
    )
    runner.run()
    return transcript.outcome(runner.rc)


def inventories(job: Job, directory: Path) -> list[str]:
    """The inventory arguments: ours, always with localhost, and after it, so that it wins, the operator's file."""
    hosts = {"localhost": {"ansible_connection": "local"}, **(job.inventory or {}).get("hosts", {})}
    ours = directory / "inventory" / "hosts.json"
    described = {name: _host(variables or {}, directory) for name, variables in hosts.items()}
    ours.write_text(json.dumps({"all": {"hosts": described, "vars": _everywhere(job)}}))
    return [str(ours)] + ([job.inventory_file] if job.inventory_file else [])


def _everywhere(job: Job) -> dict[str, Any]:
    """What a killed task leaves on a host can be told from others', unless the operator's inventory says where it lies."""
    slug = job.variables.get("apb_instance", {}).get("names", {}).get("slug")
    place = None if slug is None else environment.remote_temporary(os.environ, slug, job.epoch)
    return {} if place is None else {"ansible_remote_tmp": place}


def _host(variables: dict[str, Any], directory: Path) -> dict[str, Any]:
    """On this machine what modules write lies in the run's directory: a killed module does not remove its own."""
    if variables.get("ansible_connection") != "local":
        return variables
    ours = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_pipelining": True,  # modules and their arguments go by stdin
        "ansible_remote_tmp": str(directory / "remote"),
        "ansible_async_dir": str(directory / "async"),
    }
    return {**ours, **variables}


def _tame_pexpect(begin: Begin, has_begun: Callable[[], None]) -> None:
    import pexpect  # type: ignore[import-untyped,unused-ignore]

    runner_pid = os.getpid()

    class Spawn(pexpect.spawn):  # type: ignore[misc]
        """ansible-playbook on a terminal, ended (SIGTERM, which it hands on to its tasks) when the runner is."""

        def __init__(self, command: str, arguments: list[str], **options: Any) -> None:
            def begin_here() -> None:
                processes.die_with_parent(runner_pid, signal.SIGTERM)
                begin([command, *arguments], options["env"])

            super().__init__(command, arguments, preexec_fn=begin_here, **options)
            has_begun()
            self.ptyproc.delayafterclose = 0  # it sleeps 0.1 s for nothing: the process is dead by then

        def expect(self, pattern: Any, *arguments: Any, **options: Any) -> Any:
            if pattern is not pexpect.EOF:
                return super().expect(pattern, *arguments, **options)
            try:  # the last look after its end: something else may hold the terminal open (ansible-runner 1343)
                return super().expect(pattern, timeout=0.5)
            except pexpect.TIMEOUT:
                return 0

    pexpect.spawn = Spawn
