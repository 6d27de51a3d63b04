"""The controller, which kills itself (SIGKILL) just before or just after its n-th write or call of a broker.

    python -m tests.cluster.dying JOURNAL POINT [options of apb controller]

Points are counted from 0: before the first action, after it, before the second, … What is done is written to JOURNAL, a line for each
point, so that a life that ends well says how many there are. POINT -1 is no point. Nothing of this is in the controller itself.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from apb_controller.kube import api
from apb_controller.osbclient import client

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


def main() -> None:
    """The process."""
    journal, point, *options = sys.argv[1:]
    points = Points(Path(journal), int(point))
    api.Api.call = points.around(api.Api.call, _write)  # type: ignore[method-assign]
    client.Client.send = points.around(client.Client.send, _call)  # type: ignore[method-assign]
    from apb_cli import main as command

    sys.argv = ["apb", "controller", *options]
    command.main()


if __name__ == "__main__":
    main()
