"""Ports that tests may give to programs they start."""

import random
import socket

FIRST, LAST = 12000, 19999  # below those that the kernel gives to clients: none of these is taken between a look and its use


def free() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    while True:
        port = random.SystemRandom().randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
