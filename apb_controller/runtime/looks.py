"""Carries looks out: many at a time, one per object. What goes wrong with one object stops no other, and is tried again later each time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from apb_controller import metrics
from apb_controller.kube import errors
from apb_controller.runtime.queue import Key, Queue
from apb_controller.runtime.turns import Turns

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0
MOST_AT_ONCE = 64

log = structlog.get_logger("apb.controller.looks")


@dataclass(frozen=True)
class Again:
    """What a look leads to: another one after that time, None for none; or, when it waits for its turn at a broker, when that comes."""

    seconds: float | None = None
    is_waiting_for_turn: bool = False


T = TypeVar("T")
NOT_AGAIN = Again()
BROKEN_OFF = Again(FIRST_PAUSE_SECONDS)  # whoever breaks off all looks clears the queue as well; any other way to end must not be the last
Look = Callable[[Key], Awaitable[Again]]


class Looks:
    """`look` is carried out for each key of the queue."""

    def __init__(self, queue: Queue, turns: Turns, look: Look) -> None:
        self._queue, self._turns, self._look = queue, turns, look
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: dict[Key, int] = {}

    async def run(self) -> None:
        """Until it is cancelled; looks that have begun go on then."""
        while True:
            await self._places.acquire()
            try:
                key = await self._queue.take()
            except asyncio.CancelledError:
                self._places.release()
                raise
            task = asyncio.create_task(self._one(key), name="/".join(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> None:
        """Waits for the looks that have begun; those that take longer are broken off."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        self.break_off()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def break_off(self) -> None:
        """Ends all looks at once."""
        for task in self._tasks:
            task.cancel()

    async def elsewhere(self, work: Awaitable[T]) -> T:
        """Waits for something slow, and lets others look meanwhile."""
        self._places.release()
        try:
            return await work
        finally:
            await self._places.acquire()

    async def _one(self, key: Key) -> None:
        again, end = BROKEN_OFF, "broken off"
        metrics.LOOKING.inc()
        with structlog.contextvars.bound_contextvars(kind=key.kind, namespace=key.namespace or None, name=key.name):
            try:
                again, end = await self._look(key), "done"
                self._failures.pop(key, None)
            except errors.KubeError as error:
                again, end = self._later(key, error.retry_after), type(error).__name__
                log.warning("a look failed", error=str(error), pause_seconds=again.seconds)
            except Exception:
                again, end = self._later(key, None), "error"
                log.exception("a look failed", pause_seconds=again.seconds)
            finally:
                self._end(key, again, end)

    def _end(self, key: Key, again: Again, end: str) -> None:
        if not again.is_waiting_for_turn:
            self._turns.give_back(key)
        self._queue.schedule(key, again.seconds)
        self._queue.done(key)
        self._places.release()
        metrics.LOOKING.dec()
        metrics.LOOKS.labels(key.kind, end).inc()

    def _later(self, key: Key, retry_after: float | None) -> Again:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return Again(max(min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE_SECONDS), retry_after or 0))
