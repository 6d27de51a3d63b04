"""Talks to a running supervisord over its socket, with nothing but Python's own library: hosts need no supervisor client."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

# supervisor.xmlrpc.Faults
BAD_NAME, ALREADY_ADDED, NOT_RUNNING, ALREADY_STARTED, STILL_RUNNING = 10, 90, 70, 60, 91
# supervisor.states: STARTING and RUNNING are on their way; one in BACKOFF only waits for its next attempt.
ALIVE = ("STARTING", "RUNNING")
PAUSE_SECONDS = 0.05


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_seconds: float):
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.close()
            raise


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout_seconds: float):
        super().__init__()
        self._path, self._timeout_seconds = path, timeout_seconds

    def make_connection(self, host: object) -> _Connection:
        return _Connection(self._path, self._timeout_seconds)


class Supervisor:
    """One supervisord. Program and group have one name."""

    def __init__(self, path: Path, timeout_seconds: float):
        self._timeout_seconds = timeout_seconds
        self._path = path
        self._rpc = xmlrpc.client.ServerProxy("http://supervisor", transport=_Transport(str(path), timeout_seconds)).supervisor

    def is_running(self) -> bool:
        try:
            return self._rpc.getState()["statename"] == "RUNNING"
        except (OSError, http.client.HTTPException):
            return False

    def state(self, name: str) -> str | None:
        """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN; None: not one of its programs."""
        try:
            return self._rpc.getProcessInfo(name)["statename"]
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == BAD_NAME:
                return None
            raise HostError(f"supervisord: {fault.faultString}") from fault

    def states(self) -> dict[str, str]:
        """All its programs, and the state of each."""
        return {info["name"]: info["statename"] for info in self._rpc.getAllProcessInfo()}

    def reread(self) -> list[str]:
        """Read all configuration files; the names of programs that run by another one than their file's."""
        with _faults_told():
            return self._rpc.reloadConfig()[0][1]

    def add(self, name: str) -> None:
        """Take up a program that was read, and start it."""
        with _faults_told(ALREADY_ADDED):
            self._rpc.addProcessGroup(name)

    def start(self, name: str) -> None:
        """Start one that stands still, also one that was given up or waits for its next attempt."""
        with _faults_told(NOT_RUNNING, BAD_NAME):
            if self.state(name) == "BACKOFF":
                self._rpc.stopProcess(name)
        with _faults_told(ALREADY_STARTED):
            self._rpc.startProcess(name, False)

    def remove(self, name: str) -> None:
        """Stop a program and forget it. It may be trying to start, stopping or gone."""
        end = time.monotonic() + self._timeout_seconds
        while self.state(name) is not None:
            if time.monotonic() > end:
                raise HostError(f"supervisord could not stop {name} in {self._timeout_seconds:.0f} s")
            with _faults_told(NOT_RUNNING, BAD_NAME):
                self._rpc.stopProcess(name, False)
            with _faults_told(STILL_RUNNING, BAD_NAME):
                self._rpc.removeProcessGroup(name)
                return
            time.sleep(PAUSE_SECONDS)


@contextlib.contextmanager
def _faults_told(*expected: int) -> Iterator[None]:
    """Faults as HostError, except those that only say that somebody was faster."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode not in expected:
            raise HostError(f"supervisord: {fault.faultString}") from fault
