"""Counts the requests that reach an application, and how they were answered; what waits within a request finds workers busy."""

import collections
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from tests.fuzz.workers import Workers


class Counted:
    """Stands before a WSGI application."""

    def __init__(self, app: Callable[..., Iterable[bytes]], workers: Workers) -> None:
        self._app, self._workers = app, workers
        self.answers: collections.Counter[int] = collections.Counter()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers one request."""

        def counted(status: str, *args: Any) -> Any:
            self.answers[int(status[:3])] += 1
            return start_response(status, *args)

        with self._workers.busily() if _waits(environ) else nullcontext():
            return self._app(environ, counted)

    @property
    def requests(self) -> int:
        """How many were answered."""
        return self.answers.total()

    @property
    def share_of_success(self) -> float:
        """How many of those who may ask were answered with a 2xx."""
        return sum(count for status, count in self.answers.items() if status < 300) / (self.requests - self.answers[401])


def _waits(environ: dict[str, Any]) -> bool:
    is_binding = "/service_bindings/" in environ["PATH_INFO"] and environ["REQUEST_METHOD"] in ("PUT", "DELETE")
    return is_binding and "accepts_incomplete=true" not in environ["QUERY_STRING"]
