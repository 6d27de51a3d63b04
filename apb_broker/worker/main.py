"""`apb worker`: one worker process on this state directory."""

import os
import socket
from pathlib import Path

from apb_broker import assembly
from apb_broker.storage.listening import Listener
from apb_broker.worker.loop import Worker


def run(state_dir: Path | None = None) -> None:
    """Works until it is told to stop."""
    os.umask(0o077)
    assembled = assembly.assemble(state_dir)
    owner = f"{socket.gethostname()}/{os.getpid()}"
    Worker(assembled.broker, Listener(assembled.database_url), owner).run()
