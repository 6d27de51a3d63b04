"""Which objects are to be looked at, now or later: each by one at a time, and once more when something has happened to it meanwhile."""

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from apb_controller import metrics


class Key(NamedTuple):
    """An object."""

    kind: str
    namespace: str
    name: str


class Queue:
    """Keys in the order in which they came, each at most once."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Key, None] = OrderedDict()
        self._looked_at: set[Key] = set()
        self._again: set[Key] = set()
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._is_filled = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is looked at; later looks do not count."""
        return not self._waiting and not self._looked_at

    def add(self, key: Key) -> None:
        """It is to be looked at."""
        if key in self._looked_at:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = None
            self._is_filled.set()
            metrics.QUEUED.set(len(self._waiting))

    def schedule(self, key: Key, seconds: float | None) -> None:
        """It is to be looked at after that time, or not by itself: whatever was said before counts no more."""
        if before := self._later.pop(key, None):
            before.cancel()
        if seconds is not None:
            self._later[key] = asyncio.get_running_loop().call_later(seconds, self._is_due, key)

    async def take(self) -> Key:
        """The next one, which nobody else gets until it is `done`."""
        while not self._waiting:
            self._is_filled.clear()
            await self._is_filled.wait()
        key, _ = self._waiting.popitem(last=False)
        self._looked_at.add(key)
        metrics.QUEUED.set(len(self._waiting))
        return key

    def done(self, key: Key) -> None:
        """The look has ended."""
        self._looked_at.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def clear(self) -> None:
        """Nothing is to be looked at any more."""
        for handle in self._later.values():
            handle.cancel()
        self._later.clear()
        self._again.clear()
        self._waiting.clear()
        metrics.QUEUED.set(0)

    def _is_due(self, key: Key) -> None:
        self._later.pop(key, None)
        self.add(key)
