"""What is no HTTP is answered in JSON, as everything else is, and what never becomes a request is given up: gunicorn's threaded worker."""

import contextlib
import json
import socket
import time
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http.errors import ConfigurationProblem, LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

# Nobody knows yet who asks and what for, so the answer is about the form alone, and never a 5xx, which makes platforms clean up.
STATUS = {LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG, LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE}
DESCRIPTIONS = {
    HTTPStatus.REQUEST_URI_TOO_LONG: "the request's line is too long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the request's headers are too many or too long",
    HTTPStatus.BAD_REQUEST: "this is not a request of HTTP/1.1: its line, a header or the coding of its body is malformed",
}
# Each of a worker's threads reads one request, and a client that stops in the middle of it would keep the thread.
HEAD_SECONDS = 6.0  # gunicorn waits for the first byte for 5 of them
BODY_SECONDS = 60.0  # only whom we know has it read


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves connections; the application never sees what this refuses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading: dict[Any, float] = {}  # connection -> when no more is read from it

    def handle(self, conn: Any) -> Any:
        """Reads a request and answers it, in a thread."""
        self._reading[conn] = time.monotonic() + HEAD_SECONDS
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answers a request whose head was read."""
        self._reading[conn] = time.monotonic() + BODY_SECONDS
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Closes what waits too long, each second; to whoever reads a request too long, it is as if the client had gone away."""
        super().murder_pending()
        for conn, until in list(self._reading.items()):
            if until < time.monotonic():
                self._reading.pop(conn, None)
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(conn.sock, socket.SHUT_RD)  # that of an SSLSocket would end encryption, too

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers what could not be parsed. The request is not repeated, in the answer nor in the log: it may hold anything."""
        if not isinstance(exc, ParseException) or isinstance(exc, ConfigurationProblem):
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("malformed request: %s", type(exc).__name__)
        try:
            util.write_nonblock(client, answer(STATUS.get(type(exc), HTTPStatus.BAD_REQUEST)))
        except OSError:
            self.log.debug("the client did not wait for the answer")


def answer(status: HTTPStatus) -> bytes:
    """The whole answer, headers and error object, after which the connection is closed."""
    body = json.dumps({"description": DESCRIPTIONS[status]})
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()
