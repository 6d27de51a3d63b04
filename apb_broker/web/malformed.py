"""What is no HTTP is answered in JSON, as everything else is: gunicorn's threaded worker, with that one answer changed."""

import json
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


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves connections; the application never sees what this refuses."""

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
