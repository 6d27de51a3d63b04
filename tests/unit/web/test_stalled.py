"""A client that stops in the middle of a request is given up, whether its head or its body is missing."""

import socket
import time
from dataclasses import dataclass
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from apb_broker.web import malformed


@dataclass(eq=False)
class Connection:
    """As much of gunicorn's as is looked at."""

    sock: socket.socket


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> malformed.Worker:
    """A worker of which nothing runs; gunicorn's own part of each step does nothing."""
    monkeypatch.setattr(ThreadWorker, "__init__", lambda *_args: None)
    monkeypatch.setattr(ThreadWorker, "murder_pending", lambda *_args: None)
    return malformed.Worker()


@pytest.mark.parametrize("step", ["handle", "handle_request"])
def test_connection_that_is_read_too_long_is_at_its_end(worker: malformed.Worker, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Reading ends, as if the client had gone away; what is read in time, and answering, is not touched."""
    monkeypatch.setattr(malformed, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(malformed, "BODY_SECONDS", 0.05)
    client, server = socket.socketpair()
    with client, server:
        connection = Connection(server)

        def read(*_args: Any) -> tuple[bytes, bytes]:
            client.sendall(b"GET")
            worker.murder_pending()
            first = server.recv(10)
            while connection in worker._reading:
                worker.murder_pending()
                time.sleep(0.01)
            server.sendall(b"answer")
            return first, server.recv(10)

        monkeypatch.setattr(ThreadWorker, step, read)
        call = worker.handle if step == "handle" else lambda connection: worker.handle_request(None, connection)
        assert call(connection) == (b"GET", b"")
        assert client.recv(10) == b"answer"
        assert connection not in worker._reading
