"""Turns at brokers: only so many calls to one of them at a time, first come, first served. A slow broker makes only its own wait."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable

from apb_controller import metrics
from apb_controller.runtime.queue import Key


class Turns:
    """`wake` is called with who has waited and may call now; the turn is kept for it until it gives it back."""

    def __init__(self, limit: int, wake: Callable[[Key], None]) -> None:
        self._limit, self._wake = limit, wake
        self._holders: dict[Key, Hashable] = {}
        self._held: defaultdict[Hashable, int] = defaultdict(int)
        self._waiting: defaultdict[Hashable, OrderedDict[Key, None]] = defaultdict(OrderedDict)
        self._waits_for: dict[Key, Hashable] = {}

    def take(self, broker: Hashable, key: Key) -> bool:
        """A turn; no, when there is none free: then it will be woken when there is."""
        if self._holders.get(key) == broker:
            return True
        if self._waits_for.get(key) == broker:
            return False
        self.give_back(key)
        if self._held[broker] < self._limit:
            self._grant(broker, key)
            return True
        self._waiting[broker][key] = None
        self._waits_for[key] = broker
        self._tell(broker)
        return False

    def give_back(self, key: Key) -> None:
        """It has called, or does not want to any more."""
        if (broker := self._holders.pop(key, None)) is not None:
            self._held[broker] -= 1
            self._next(broker)
            self._tell(broker)
        if (broker := self._waits_for.pop(key, None)) is not None:
            self._waiting[broker].pop(key, None)
            self._tell(broker)

    def _next(self, broker: Hashable) -> None:
        if not self._waiting[broker]:
            return
        key, _ = self._waiting[broker].popitem(last=False)
        del self._waits_for[key]
        self._grant(broker, key)
        self._wake(key)

    def _grant(self, broker: Hashable, key: Key) -> None:
        self._holders[key] = broker
        self._held[broker] += 1
        self._tell(broker)

    def _tell(self, broker: Hashable) -> None:
        metrics.CALLS_RUNNING.labels(str(broker)).set(self._held[broker])
        metrics.CALLS_WAITING.labels(str(broker)).set(len(self._waiting[broker]))
        if not self._held[broker] and not self._waiting[broker]:
            del self._held[broker], self._waiting[broker]
