"""A load generator: keep-alive connections on raw sockets, each sending its next request when it has its answer (a closed loop).

    python -m bench.client       stdin: one JSON job; stdout: one JSON line of what was measured

A job is {"port", "connections", "seconds", "requests": [whole HTTP requests], "status"}; NEW_ID in a request is another id each time.
It is a process of its own, without an HTTP library: it has to be several times cheaper than what it measures.
"""

import json
import os
import random
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

NEW_ID = b"00000000-0000-4000-8000-000000000000"
HEADER_END = b"\r\n\r\n"
LENGTH = b"content-length: "


@dataclass
class Connection:
    """One keep-alive connection with one request on its way."""

    socket: socket.socket
    sent_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes) -> None:
        """The next request. It fits a socket's buffer."""
        if NEW_ID in request:
            request = request.replace(NEW_ID, os.urandom(18).hex().encode())
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """The status of the answer once it is complete."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed a connection before its answer was complete")
        self.received += data
        head, end, body = self.received.partition(HEADER_END)
        if not end:
            return None
        lower = head.lower()
        length = int(lower[lower.index(LENGTH) + len(LENGTH) :].partition(b"\r\n")[0])
        if len(body) < length:
            return None
        self.received.clear()
        return bytes(head[9:12])


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Sends until the time is over; counts and latencies in milliseconds. Raises for any other status than the job's."""
    requests = [text.encode() for text in job["requests"]]
    expected = str(job["status"]).encode()
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        connections = [Connection(_connected(job["port"])) for _ in range(job["connections"])]
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(random.choice(requests))
        began = time.perf_counter()
        end, waiting = began + job["seconds"], len(connections)
        while waiting:
            for key, _ in selector.select():
                connection = key.data
                status = connection.receive()
                if status is None:
                    continue
                now = time.perf_counter()
                if status != expected:
                    raise ValueError(f"status {status.decode()} instead of {expected.decode()}")
                if now < end:
                    latencies.append(now - connection.sent_at)
                    connection.send(random.choice(requests))
                else:
                    waiting -= 1
                    connection.socket.close()
                    selector.unregister(key.fd)
    return {
        "requests": len(latencies) + len(connections),  # the last ones were answered after the end
        "per_second": len(latencies) / job["seconds"],
        "p50_ms": _quantile(latencies, 0.5),
        "p99_ms": _quantile(latencies, 0.99),
    }


def _connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _quantile(latencies: list[float], part: float) -> float:
    return round(sorted(latencies)[int(part * (len(latencies) - 1))] * 1000, 3)


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
