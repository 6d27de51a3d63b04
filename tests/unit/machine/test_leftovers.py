"""What a killed `apb up` left is ended whole before the next one uses its ports."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from apb_broker.machine import processes
from tests import ports

LISTENS = """
import ctypes, os, signal, socket, sys, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
"""
FIRST_THREAD_ENDS = """
threading.Thread(target=time.sleep, args=(300,)).start()
print(flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)  # exit(2): this thread only
"""
PARENT_ENDS = """
if os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print(flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("rest", [FIRST_THREAD_ENDS, PARENT_ENDS], ids=["thread", "member"])
def test_nothing_holds_the_port_of_ended_leftovers(rest, tmp_path):
    """Neither a thread that outlives the first one of its process, nor a member of the group that outlives its leader."""
    port = ports.free()
    command = [sys.executable, "-c", LISTENS + rest, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as left:
        try:
            left.stdout.readline()
            children = {"serve": processes._identity(left.pid)}
            (tmp_path / "children.json").write_text(json.dumps(children))
            processes.end_leftovers(tmp_path / "children.json", grace_seconds=0.2)
            socket.create_server(("127.0.0.1", port)).close()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(left.pid, signal.SIGKILL)
