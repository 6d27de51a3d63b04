"""How a web process stops: what has connected to it is answered, and from then on nobody connects to it any more.

Gunicorn's own stops to accept, keeps its listening socket until the last request is answered, which may take a minute, and with its end
resets whoever has connected meanwhile.
"""

import os
from typing import Any

from apb_broker.web import malformed


class Worker(malformed.Worker):
    """Serves connections until its end, and that to everybody's satisfaction."""

    sockets: list[Any]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accepts from now on, or no longer."""
        stops = not enabled and (not self.alive or self.ppid != os.getppid())
        if stops and self._accepting:
            for listener in self.sockets:
                self._accept_waiting(listener)
        super().set_accept_enabled(enabled)
        if stops:
            for listener in self.sockets:
                listener.close()  # this process's own; after a reload others go on with it
            self.sockets = []

    def _accept_waiting(self, listener: object) -> None:
        before = -1
        while self.nr_conns > before:
            before = self.nr_conns
            self.accept(listener)
