"""What can go wrong with an instance on its host, for everything in module_utils that works there."""

from __future__ import annotations


class HostError(Exception):
    """The host is not as an instance needs it. The message names what is wrong and what to do about it."""
