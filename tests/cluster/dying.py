"""Controllers that kill themselves (SIGKILL) just before or just after their n-th write or call of a broker.

    python -m tests.cluster.dying

For each line `JOURNAL POINT LOG OPTION…` of its input one controller begins; its pid is a line of the output. Points are counted from 0:
before the first action, after it, before the second, … What is passed is written to JOURNAL, a line for each, so that a life that ends well
says how many there are. POINT -1 is no point. Nothing of this is in the controller itself; it is forked, so that hundreds begin quickly.
"""

import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from apb_cli import main
from apb_controller.kube import api
from apb_controller.osbclient import client
from apb_controller.process import main as _process  # noqa: F401 - imported once, for all that are forked

WRITES = ("POST", "PATCH", "DELETE")
UNCOUNTED = ("Event", "Lease", "ConfigMap")  # told in the background, of the process itself


class Points:
    """Where it may die."""

    def __init__(self, journal: Path, point: int) -> None:
        self._journal, self._point, self._passed = journal, point, 0

    def passed(self, what: str) -> None:
        """One of them."""
        with self._journal.open("a") as journal:
            journal.write(f"{what}\n")
        if self._passed == self._point:
            os.kill(os.getpid(), signal.SIGKILL)
        self._passed += 1

    def around(self, function: Callable[..., Awaitable[Any]], name: Callable[..., str | None]) -> Callable[..., Awaitable[Any]]:
        """The function, with a point before and one after it."""

        async def counted(*arguments: Any, **named: Any) -> Any:
            what = name(*arguments, **named)
            if what is None:
                return await function(*arguments, **named)
            self.passed(f"before {what}")
            result = await function(*arguments, **named)
            self.passed(f"after {what}")
            return result

        return counted


def _write(_api: Any, verb: str, resource: Any, path: str, **_more: Any) -> str | None:
    if verb not in WRITES or resource.kind in UNCOUNTED:
        return None
    return f"{verb} {resource.kind}{'/status' if path.endswith('/status') else ''}"


def _call(_client: Any, _endpoint: Any, request: Any) -> str:
    return f"call {request.call.value}"


def controller(journal: Path, point: int, log: Path, options: list[str]) -> None:
    """One of them, in a process of its own."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(out, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    points = Points(journal, point)
    api.Api.call = points.around(api.Api.call, _write)  # type: ignore[method-assign]
    client.Client.send = points.around(client.Client.send, _call)  # type: ignore[method-assign]
    sys.argv = ["apb", "controller", *options]
    main.main()


def serve() -> None:
    """Begins them, and leaves nothing of those that have ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        journal, point, log, *options = shlex.split(line)
        pid = os.fork()
        if pid == 0:
            controller(Path(journal), int(point), Path(log), options)
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    serve()
