"""ansible-runner as runs use it, and the environment that it makes; what it runs, and what of it is heard, is left to executors."""

import os
from pathlib import Path
from typing import Any

import ansible_runner.interface

from apb_broker.execution import environment

_SETTINGS = {"pexpect_timeout": 1, "suppress_ansible_output": True, "suppress_output_file": True}


def new(directory: Path, **options: Any) -> Any:
    """ansible-runner's runner, which has written its files and is not started yet; `directory` is a run's own."""
    runner = ansible_runner.interface.init_runner(
        private_data_dir=str(directory),
        ident="run",
        settings=dict(_SETTINGS),
        quiet=True,
        fact_cache_type="",
        cancel_callback=lambda: False,
        **options,
    )
    environment.keep_host_key_checking(runner.config.env)
    return runner


def environment_of_playbook(directory: Path) -> dict[str, str]:
    """That of ansible-playbook in a run below this process, with what ansible-runner adds; `directory` is an empty one, as a run's own."""
    before = dict(os.environ)
    os.environ.update(environment.of_ansible(directory))
    try:
        found: dict[str, str] = new(directory, playbook="none", inventory=[]).config.env
    finally:
        os.environ.clear()
        os.environ.update(before)
    return found
