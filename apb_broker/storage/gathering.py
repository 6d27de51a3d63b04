"""What several threads want to write at the same time is written together: who comes first writes, for all who have come meanwhile.

Owns who leads and who waits, and whose error is whose; what is written, and how, is `write`'s. Whoever is alone waits for nobody. One
write is under way at a time, so that the next one gathers; one that takes long holds up nobody but those whose items it has.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from apb_broker.storage import errors

MOST = 8
PATIENCE_SECONDS = 0.1  # a write takes a few milliseconds; behind one that hangs nobody else is to wait

Item = TypeVar("Item")


class _Waiting(Generic[Item]):
    """One item on its way, and its thread."""

    __slots__ = ("error", "item", "kind", "leads", "taken", "turn")

    def __init__(self, item: Item, kind: Hashable) -> None:
        self.item, self.kind = item, kind
        self.leads = self.taken = False
        self.error: BaseException | None = None
        self.turn = threading.Lock()  # a lock is an event at a tenth of the price
        self.turn.acquire()


class Gathering(Generic[Item]):
    """`write` writes all of some items or none. `is_refusal` tells of what it raised that nothing was written, for what one of them is."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], None],
        is_refusal: Callable[[BaseException], bool],
        *,
        most: int = MOST,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._write, self._is_refusal, self._most, self._patience = write, is_refusal, most, patience_seconds
        self._lock = threading.Lock()
        self._queue: list[_Waiting[Item]] = []  # in the order they came
        self._leaders = 0

    def write(self, item: Item, kind: Hashable) -> None:
        """Writes it, maybe together with others of its kind. Raises what `write` raises of this item.

        Where several are refused together, each is tried by itself. Where it is not known what became of them, it is not of any.
        """
        mine = _Waiting(item, kind)
        if not self._leads_at_once(mine):
            self._wait(mine)
        if mine.leads:
            self._lead(mine)
        elif mine.error is not None:
            self._settle(mine.item, mine.error)

    def _leads_at_once(self, mine: _Waiting[Item]) -> bool:
        with self._lock:
            self._queue.append(mine)
            mine.leads = self._leaders == 0
            self._leaders += mine.leads
        return mine.leads

    def _wait(self, mine: _Waiting[Item]) -> None:
        """Until somebody else has written it, or it is for us to lead."""
        if mine.turn.acquire(timeout=self._patience):
            return
        with self._lock:
            if not mine.taken and not mine.leads:  # what is written now hangs
                mine.leads = True
                self._leaders += 1
        if not mine.leads:
            mine.turn.acquire()

    def _lead(self, mine: _Waiting[Item]) -> None:
        batch = self._take(mine)
        error: BaseException | None = None
        try:
            self._write([each.item for each in batch])
        except BaseException as raised:
            error = raised
            if len(batch) == 1 or not self._is_refusal(raised):
                raise
        finally:
            self._hand_over()
            for each in batch[1:]:
                each.error = error
                each.turn.release()
        if error is not None:
            self._write([mine.item])

    def _take(self, mine: _Waiting[Item]) -> list[_Waiting[Item]]:
        """Its own item, and the first others of that kind."""
        with self._lock:
            others = [each for each in self._queue if each.kind == mine.kind and each is not mine and not each.leads]
            batch = [mine, *others[: self._most - 1]]
            for each in batch:
                each.taken = True
            self._queue = [each for each in self._queue if not each.taken]
        return batch

    def _hand_over(self) -> None:
        """Each leads once, so that nobody is kept from his answer; then who has waited longest does."""
        with self._lock:
            self._leaders -= 1
            if self._leaders == 0 and self._queue:
                following = self._queue[0]
                following.leads = True
                self._leaders = 1
                following.turn.release()

    def _settle(self, item: Item, error: BaseException) -> None:
        """After somebody else's write of several came to nothing."""
        if self._is_refusal(error):
            self._write([item])
        elif isinstance(error, Exception):
            raise error
        else:  # what ended the other's thread is not to end this one
            raise errors.Unavailable("the database cannot be used now: who wrote this was stopped") from error
