"""The warm process itself: python -P -m apb_broker.execution.warm.zygote, on stdin a socket to its worker.

It has one thread and no children for longer than a moment: a supervisor is forked twice, so that it becomes the worker's
child (a sub-reaper) and lives on when this process dies. Messages, one a packet:

    to the worker     {"ready": true} once; or {"unfit": why}, or {"stale": what has changed on the disk meanwhile}, and the end
    to this process   anything, with two descriptors: the supervisor's stdin and stdout
    to the worker     {"pid": N}, when the supervisor is its child; or {"stale": what has changed} and the end
"""

import json
import os
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from apb_broker.execution import processes, supervisor
from apb_broker.execution.warm import fingerprint, priming, titles

PAUSE_SECONDS = 0.0005
COMMAND = (sys.executable, "-P", "-m", "apb_broker.execution.supervisor")  # as what a supervisor is known, executed or forked


def main() -> None:
    """Load, tell, serve until the worker is gone."""
    processes.die_with_parent(os.getppid(), signal.SIGKILL)
    began = time.time()
    connection = _take_connection()
    try:
        if not titles.find_room():
            raise priming.Unfit("this kernel does not tell where a process keeps its command line")
        priming.load()
        titles.rename([*COMMAND[:-1], "apb_broker.execution.warm.zygote"])
        watched = fingerprint.Watched(priming.loaded_paths(), began)
    except Exception as error:
        _tell(connection, {"unfit": str(error) if isinstance(error, priming.Unfit) else f"{type(error).__name__}: {error}"})
        return
    if changed := watched.changed():
        _tell(connection, {"stale": changed})
        return
    _tell(connection, {"ready": True})
    _serve(connection, watched)


def _take_connection() -> socket.socket:
    """From stdin, which becomes that of any program in the background."""
    connection = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return connection


def _tell(connection: socket.socket, message: dict[str, Any]) -> None:
    try:
        connection.send(json.dumps(message).encode())
    except OSError:
        sys.exit()  # the worker is gone


def _serve(connection: socket.socket, watched: fingerprint.Watched) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 4096, 2)
        if not message or len(descriptors) != 2:
            return
        if changed := watched.changed():
            _tell(connection, {"stale": changed})
            return
        pid = _bear(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _tell(connection, {"pid": pid})


def _bear(orders: int, messages: int) -> int:
    """A supervisor with these as stdin and stdout; its pid, when it is nobody's but the worker's child."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            between = os.getpid()
            pid = os.fork()
            if pid == 0:
                _be_supervisor(orders, messages, between)
            os.write(writer, b"%d" % pid)
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(between, 0)
    pid = int(os.read(reader, 32) or b"0")
    os.close(reader)
    return pid


def _be_supervisor(orders: int, messages: int, between: int) -> NoReturn:
    try:
        os.setsid()
        os.dup2(orders, 0)
        os.dup2(messages, 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        titles.rename(COMMAND)
        while os.getppid() == between:
            time.sleep(PAUSE_SECONDS)
        supervisor.main()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
