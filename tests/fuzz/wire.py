"""Bytes to a server and what comes back: a whole answer, or the end of the connection. Anything else is an error, and so is silence."""

import contextlib
import socket
import time
from dataclasses import dataclass

import h11

LIMIT_SECONDS = 15


@dataclass(frozen=True)
class Answer:
    """The first answer to what was sent; without a status the server closed the connection instead."""

    status: int | None
    body: bytes = b""


class Broken(AssertionError):
    """What came back is no HTTP, or nothing came within the time."""


def exchange(address: tuple[str, int], data: bytes, *, is_whole: bool = True, limit_seconds: float = LIMIT_SECONDS) -> Answer:
    """Sends bytes and reads the first answer. What is not whole is followed by the end of the stream, as of a client that went away."""
    give_up = time.monotonic() + limit_seconds
    with socket.create_connection(address, timeout=limit_seconds) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have answered and closed before it has read all
            connection.sendall(data)
            if not is_whole:
                connection.shutdown(socket.SHUT_WR)
        return _read(connection, give_up, data.split(b" ", 1)[0])


def _read(connection: socket.socket, give_up: float, method: bytes) -> Answer:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=b"HEAD" if method == b"HEAD" else b"GET", target=b"/", headers=[(b"Host", b"x")]))
    client.send(h11.EndOfMessage())
    status, body = None, b""
    try:
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(_receive(connection, give_up))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, body)
            elif isinstance(event, h11.ConnectionClosed):
                return Answer(None)
    except h11.RemoteProtocolError as error:
        if status is None and not client.trailing_data[0]:
            return Answer(None)  # closed without a word
        raise Broken(f"the answer is no HTTP: {error}") from error


def _receive(connection: socket.socket, give_up: float) -> bytes:
    connection.settimeout(max(give_up - time.monotonic(), 0.01))
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""
    except TimeoutError as error:
        raise Broken("nothing came in time") from error
