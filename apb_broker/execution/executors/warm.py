"""A playbook as `cold` runs it, but that ansible-playbook is not executed: the runner, a descendant of the warm process, forks it.

Only below the warm process. All of cold's ways are kept, ansible-runner's terminal and events with them.
"""

from pathlib import Path

from apb_broker.execution.executors import Emit, cold
from apb_broker.execution.job import Job, Outcome
from apb_broker.execution.warm import priming


def run(job: Job, directory: Path, emit: Emit) -> Outcome:
    """Run the job's playbook and say how it ended. Takes over this process: environment, pexpect."""
    priming.mark_runner(directory)
    return cold.play(job, directory, emit, priming.become_playbook)
