"""The directory in which the web processes keep their counters for each other, and the end of those that a killed server left.

It is locked for as long as one of its processes lives: the descriptor is handed on to each.
"""

import shutil
import tempfile
from pathlib import Path

from apb_broker import locked_directory

PREFIX = "apb-metrics-"


def create() -> str:
    """A new one of this process's; removes what dead ones left."""
    sweep(Path(tempfile.gettempdir()))
    path = tempfile.mkdtemp(prefix=PREFIX)
    locked_directory.lock(Path(path))  # the descriptor stays open until the process ends
    return path


def sweep(root: Path) -> None:
    """Remove this user's directories below `root` whose processes are all dead."""
    for path in root.glob(f"{PREFIX}*"):
        if locked_directory.is_dead(path):
            shutil.rmtree(path, ignore_errors=True)
