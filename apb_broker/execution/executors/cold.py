"""A playbook through ansible-runner in a fresh ansible-playbook; what its events mean is left to `transcript`.

Of ansible-runner's ways these are changed, each for a reason: extra variables and inventory go by files written here
(it would put them on the command line, or read them less strictly), no output is kept, its signal handlers are not
installed, and ansible-playbook gets a parent-death signal (it would run on without it).
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

from apb_broker.execution import environment, processes, unsafe
from apb_broker.execution.executors import Emit
from apb_broker.execution.job import Job, Outcome
from apb_broker.execution.transcript import Transcript

_SETTINGS = {"pexpect_timeout": 1, "suppress_ansible_output": True, "suppress_output_file": True}


def run(job: Job, directory: Path, emit: Emit) -> Outcome:
    """Run the job's playbook and say how it ended. Takes over this process: environment, pexpect."""
    import ansible_runner.interface

    _tame_pexpect()
    for name in ("env", "tmp", "cp", "remote", "async", "inventory"):
        (directory / name).mkdir(mode=0o700)
    (directory / "env" / "extravars").write_text(unsafe.extravars(job.settings, job.variables))
    os.environ.update(environment.of_ansible(directory))
    transcript = Transcript(emit)
    runner = ansible_runner.interface.init_runner(
        private_data_dir=str(directory),
        ident="run",
        playbook=job.playbook,
        inventory=inventories(job, directory),
        settings=dict(_SETTINGS),
        quiet=True,
        fact_cache_type="",
        event_handler=transcript.handle,
        cancel_callback=lambda: False,
    )
    environment.keep_host_key_checking(runner.config.env)
    runner.run()
    return transcript.outcome(runner.rc)


def inventories(job: Job, directory: Path) -> list[str]:
    """The inventory arguments: ours, always with localhost, and after it, so that it wins, the operator's file."""
    hosts = {"localhost": {"ansible_connection": "local"}, **(job.inventory or {}).get("hosts", {})}
    ours = directory / "inventory" / "hosts.json"
    ours.write_text(json.dumps({"all": {"hosts": {name: _host(variables or {}, directory) for name, variables in hosts.items()}}}))
    return [str(ours)] + ([job.inventory_file] if job.inventory_file else [])


def _host(variables: dict[str, Any], directory: Path) -> dict[str, Any]:
    """On this machine modules' files, which hold their arguments, lie in the run's directory: a killed module does not remove its own."""
    if variables.get("ansible_connection") != "local":
        return variables
    ours = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_remote_tmp": str(directory / "remote"),
        "ansible_async_dir": str(directory / "async"),
    }
    return {**ours, **variables}


def _tame_pexpect() -> None:
    import pexpect  # type: ignore[import-untyped,unused-ignore]

    runner_pid = os.getpid()

    class Spawn(pexpect.spawn):  # type: ignore[misc]
        """ansible-playbook on a terminal, ended (SIGTERM, which it hands on to its tasks) when the runner is."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, preexec_fn=lambda: processes.die_with_parent(runner_pid, signal.SIGTERM), **options)
            self.ptyproc.delayafterclose = 0  # it sleeps 0.1 s for nothing: the process is dead by then

        def expect(self, pattern: Any, *arguments: Any, **options: Any) -> Any:
            if pattern is not pexpect.EOF:
                return super().expect(pattern, *arguments, **options)
            try:  # the last look after its end: something else may hold the terminal open (ansible-runner 1343)
                return super().expect(pattern, timeout=0.5)
            except pexpect.TIMEOUT:
                return 0

    pexpect.spawn = Spawn
