"""A load generator: keep-alive connections on raw sockets, each sending its next request when it has its answer (a closed loop).

    python -m bench.client       stdin: one JSON job; stdout: one JSON line of what was measured

A job is {"port", "connections", "seconds", "requests": [whole HTTP requests], "status"}; NEW_ID in a request is another id each time.
With "pause_seconds" each connection sends so long after its last request at the earliest: a rate that leaves the server time for others.
It is a process of its own, without an HTTP library: it has to be several times cheaper than what it measures.
"""

import json
import os
import random
import selectors
import socket
import subprocess
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
    next_at: float | None = None  # when it sends again; None while an answer is on its way
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


class Load:
    """One job as it goes on."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._requests = [text.encode() for text in job["requests"]]
        self._status, self._pause = str(job["status"]).encode(), job.get("pause_seconds", 0.0)
        self._connections = [Connection(_connected(job["port"])) for _ in range(job["connections"])]
        self.seconds, self.latencies = job["seconds"], list[float]()
        self.requests = 0

    def run(self) -> None:
        """Sends until the time is over, and waits for the last answers. Raises for any other status than the job's."""
        began = time.perf_counter()
        end = began + self.seconds
        with selectors.DefaultSelector() as selector:
            for number, connection in enumerate(self._connections):
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.next_at = began + self._pause * number / len(self._connections)
            while waiting := [each for each in self._connections if each.next_at is None or each.next_at < end]:
                for connection in waiting:
                    if connection.next_at is not None and connection.next_at <= time.perf_counter():
                        self._send(connection)
                for key, _ in selector.select(self._until_due(waiting)):
                    self._receive(key.data, end)
        for connection in self._connections:
            connection.socket.close()

    def _send(self, connection: Connection) -> None:
        connection.next_at = None
        self.requests += 1
        connection.send(random.choice(self._requests))

    @staticmethod
    def _until_due(waiting: list[Connection]) -> float | None:
        due = [each.next_at for each in waiting if each.next_at is not None]
        return max(min(due) - time.perf_counter(), 0) if due else None

    def _receive(self, connection: Connection, end: float) -> None:
        status = connection.receive()
        if status is None:
            return
        now = time.perf_counter()
        if status != self._status:
            raise ValueError(f"status {status.decode()} instead of {self._status.decode()}")
        if now < end:
            self.latencies.append(now - connection.sent_at)
        connection.next_at = max(now, connection.sent_at + self._pause)
        if not self._pause and now < end:
            self._send(connection)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Counts, and latencies in milliseconds."""
    load = Load(job)
    load.run()
    if not load.latencies:
        raise ValueError(f"no answer within {load.seconds} s: ask for longer")
    return {
        "requests": load.requests,  # the last ones were answered after the end
        "per_second": len(load.latencies) / load.seconds,
        "p50_ms": _quantile(load.latencies, 0.5),
        "p99_ms": _quantile(load.latencies, 0.99),
    }


def measured(**job: Any) -> dict[str, float]:
    """One run of the load generator in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "bench.client"], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the load generator failed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _quantile(latencies: list[float], part: float) -> float:
    return round(sorted(latencies)[int(part * (len(latencies) - 1))] * 1000, 3)


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
