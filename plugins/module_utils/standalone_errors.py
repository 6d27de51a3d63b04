"""What can go wrong with an instance that is managed without the broker."""

from __future__ import annotations


class StandaloneError(Exception):
    """What was asked for cannot be done. The message names what is wrong and what to do about it, never a secret."""
