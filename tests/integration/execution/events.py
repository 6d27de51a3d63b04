"""One run without its supervisor, for tests that compare all that ansible-runner tells of it: python events.py warm|cold DIRECTORY RUNS.

A job as JSON on stdin; of each run events, exit status and outcome as a line of JSON on stdout. The directory is new for each.
"""

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

from apb_broker import execution
from apb_broker.execution import environment, executors


def main(name: str, directory: Path, runs: int) -> None:
    ours = environment.of_run(os.environ)
    os.environ.clear()
    os.environ.update(ours)
    job = execution.Job(**json.load(sys.stdin))
    if name == "cold":
        tell(name, job, directory)
        return
    from apb_broker.execution.warm import priming

    priming.load()
    for _ in range(runs):
        runner = os.fork()
        if runner == 0:
            os.execvpe = not_at_all
            try:
                tell(name, job, directory)
            finally:
                os._exit(0)
        os.waitpid(runner, 0)


def not_at_all(*words: object) -> None:
    raise OSError(f"executed: {words}")


def tell(name: str, job: execution.Job, directory: Path) -> None:
    """Run it, and write down what is heard."""
    execute = executors.find(name)
    from apb_broker.execution.transcript import Transcript

    events, codes = [], []
    handle, outcome = Transcript.handle, Transcript.outcome

    def heard(self, event):
        events.append(json.loads(json.dumps(event)))
        return handle(self, event)

    def ended(self, code):
        codes.append(code)
        return outcome(self, code)

    Transcript.handle, Transcript.outcome = heard, ended
    directory.mkdir()
    os.chdir(directory)
    end = execute(job, directory, lambda _progress: None)
    print(json.dumps({"events": events, "code": codes[0], "outcome": dataclasses.asdict(end)}), flush=True)
    shutil.rmtree(directory)


main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
