"""A worker in small, for tests that kill it or what is below it.

A job as JSON on stdin; the supervisor's pid, messages and what is left as JSON lines on stdout.
"""

import dataclasses
import json
import os
import select
import sys
import time

from apb_broker import execution
from apb_broker.execution import processes


def main() -> None:
    execution.become_subreaper()
    fields = json.load(sys.stdin)
    fields |= {"secrets": tuple(fields["secrets"]), "limits": execution.Limits(**fields["limits"])}
    while fields["executor"] == "warm" and not execution.keep_warm().is_ready:
        time.sleep(0.01)
    with execution.start(execution.Job(**fields)) as run:
        tell({"pid": run.pid})
        while True:
            select.select([run], [], [], 0.2)
            run.renew()
            for message in run.read():
                tell(dataclasses.asdict(message) | ({"at": None} if isinstance(message, execution.Progress) else {}))
                if isinstance(message, execution.Outcome):
                    execution.end_warm()
                    tell({"left": processes.descendants(os.getpid())})
                    return


def tell(data: dict) -> None:
    print(json.dumps(data), flush=True)


main()
