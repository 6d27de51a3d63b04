"""A server of which each byte is the test's: what comes in is kept, what goes out is given."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """The server's address, and what it was sent: the requests' bytes, one by one."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def headers(self, number: int = -1) -> dict[str, str]:
        """Of a request, names in lower case."""
        lines = self.requests[number].split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def reply(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    """A well-formed answer."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def one_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body as they came; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + (await reader.readexactly(length[0]) if length else b"")


@contextlib.asynccontextmanager
async def serving(
    *answers: bytes, then: Handler | None = None, context: ssl.SSLContext | None = None, is_kept: bool = True
) -> AsyncIterator[Wire]:
    """Each request gets the next answer, the last one again and again. `then` goes on with the connection after the answer."""
    wire = Wire()
    left = list(answers)
    open_ones: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await one_request(reader):
            wire.requests.append(request)
            if left:
                writer.write(left.pop(0) if len(left) > 1 else left[0])
                await writer.drain()
            if then:
                await then(reader, writer)
            if not is_kept:
                return

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        open_ones.add(asyncio.current_task())
        try:
            await converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            open_ones.discard(asyncio.current_task())
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    wire.url = f"{'https' if context else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        for task in list(open_ones):
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        await server.wait_closed()
