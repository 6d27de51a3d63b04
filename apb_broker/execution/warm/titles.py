"""Command line and environment that /proc shows of a forked process: those of the program that was executed, unless they are
written over in its own memory, where the kernel reads them.

People and programs know supervisors and playbooks by their command lines, and what a run has left is found by the name of
its directory in an environment. The room for both is an argument and a variable that say nothing.
"""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOM_VARIABLE = "APB_RUN"
ROOM_VALUE = " " * 1024
ROOM_ARGUMENT = " " * 2048

_ARGUMENTS, _ENVIRONMENT = 45, 47  # places of arg_start and env_start, each with its end, behind the name in proc(5)'s `stat`


@dataclass(frozen=True)
class _Area:
    """A part of this process's memory."""

    start: int
    length: int

    def write(self, data: bytes) -> None:
        """Its new content; what has no room in it is cut off, and its last byte stays zero."""
        ctypes.memmove(self.start, data[: self.length - 1].ljust(self.length, b"\0"), self.length)


_areas: tuple[_Area, _Area] | None = None  # of the command line, of the variable's value


def find_room() -> bool:
    """Call once at the start of a program that was executed with ROOM_ARGUMENT last and ROOM_VARIABLE. False: this kernel does not tell."""
    global _areas
    stat = Path("/proc/self/stat").read_bytes()
    places = [int(word) for word in stat[stat.rindex(b")") + 2 :].split()[_ARGUMENTS : _ARGUMENTS + 4]]
    if len(places) < 4 or not all(places):
        return False
    arguments = _Area(places[0], places[1] - places[0])
    environment = ctypes.string_at(places[2], places[3] - places[2])
    wanted = f"{ROOM_VARIABLE}={ROOM_VALUE}\0".encode()
    if wanted not in environment or ROOM_ARGUMENT.encode() not in ctypes.string_at(arguments.start, arguments.length):
        return False
    value = _Area(places[2] + environment.index(wanted) + len(ROOM_VARIABLE) + 1, len(ROOM_VALUE) + 1)
    os.environ.pop(ROOM_VARIABLE)  # nothing points there any more
    _areas = (arguments, value)
    return True


def rename(words: Sequence[str]) -> None:
    """The command line of this process from now on, and that of all it will fork."""
    if _areas:
        _areas[0].write(b"\0".join(os.fsencode(word) for word in words))


def mark(text: str) -> None:
    """What the environment of this process shows from now on, and of all that it will fork."""
    if _areas:
        _areas[1].write(os.fsencode(text))
