"""HTTP for the brokers of tests: an event loop in a thread, answers of any form, connections that can be cut, a port that comes back."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import h11


@dataclass(frozen=True)
class Request:
    """What came in. Header names are in lower case; segments are the decoded parts of the path."""

    method: str
    segments: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes


@dataclass(frozen=True)
class Reply:
    """An answer; anything but bytes is sent as JSON."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """These bytes instead of an answer, then the end of the connection."""

    data: bytes = b""
    is_reset: bool = False


Handler = Callable[[Request], Awaitable[Reply | Cut]]


class _Connection(asyncio.Protocol):
    """One client. Its end is the end of what is being done for it."""

    def __init__(self, handle: Handler, all_of_them: set["_Connection"]) -> None:
        self._handle, self._all = handle, all_of_them
        self._http = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._content = b""
        self._task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._all.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._all.discard(self)
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._read()

    def _read(self) -> None:
        try:
            self._read_events()
        except h11.RemoteProtocolError:
            self.transport.abort()

    def _read_events(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._head, self._content = event, b""
            elif isinstance(event, h11.Data):
                self._content += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._task = asyncio.get_running_loop().create_task(self._serve())
            else:
                return

    async def _serve(self) -> None:
        assert self._head
        reply = await self._handle(_request(self._head, self._content))
        if isinstance(reply, Cut):
            self._cut(reply)
        else:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(body))}
        events = (h11.Response(status_code=reply.status, headers=list(headers.items())), h11.Data(data=body), h11.EndOfMessage())
        self.transport.write(b"".join(self._http.send(event) or b"" for event in events))
        self._task = None
        if self._http.our_state is h11.MUST_CLOSE:
            self.transport.close()
            return
        self._http.start_next_cycle()
        self._read()

    def _cut(self, cut: Cut) -> None:
        self._task = None
        self.transport.write(cut.data)
        if cut.is_reset:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        else:
            self.transport.close()


def _request(head: h11.Request, content: bytes) -> Request:
    path, _, query = head.target.decode().partition("?")
    return Request(
        head.method.decode(),
        tuple(unquote(part) for part in path.strip("/").split("/")),
        dict(parse_qsl(query, keep_blank_values=True)),
        {name.decode(): value.decode() for name, value in head.headers},
        content,
    )


class Listener:
    """A server on a port of this machine, which it keeps when it disappears and comes back. All methods are for other threads."""

    def __init__(self, handle: Handler, *, port: int = 0, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self._handle, self._context, self._address = handle, context, address
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="a broker of tests", daemon=True)
        self._thread.start()
        self.port = port
        self.come_back()

    @property
    def url(self) -> str:
        """Of the server."""
        return f"{'https' if self._context else 'http'}://{self._address}:{self.port}"

    def disappear(self) -> None:
        """Nobody listens any more, and all connections are reset."""
        self._run(self._disappear())

    def come_back(self) -> None:
        """On the port of before."""
        if self._server is None:
            self._run(self._listen())

    def cut(self) -> None:
        """All connections are reset; new ones are welcome."""
        self._run(self._cut())

    def soon(self, call: Callable[[], object]) -> None:
        """In the server's thread."""
        self._loop.call_soon_threadsafe(call)

    def stop(self) -> None:
        """The end, with the thread."""
        self.disappear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        made = lambda: _Connection(self._handle, self._connections)  # noqa: E731
        self._server = await self._loop.create_server(made, self._address, self.port, ssl=self._context, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _disappear(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for connection in list(self._connections):
            connection._cut(Cut(is_reset=True))
        while self._connections:
            await asyncio.sleep(0)
        # What was being done for them ends as well, before anybody looks.
        ours = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in ours:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*ours, return_exceptions=True)
