"""Gathering: who comes while something is written is written together, and nobody pays for others."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from apb_broker.storage.errors import Unavailable
from apb_broker.storage.gathering import Gathering

LONG = 60.0


class Refused(Exception):
    """What is written is not wanted."""


class Lost(Exception):
    """Nobody knows."""


class Store:
    """Keeps what is written, once it is let. Refuses what is bad."""

    def __init__(self, *, most: int = 8, patience_seconds: float = LONG) -> None:
        self.gathering = Gathering[str](self.write, lambda error: isinstance(error, Refused), most=most, patience_seconds=patience_seconds)
        self.begun: list[list[str]] = []
        self.held = {"first": threading.Event()}  # a write with such an item waits for it
        self.failing: Callable[[Sequence[str]], BaseException | None] = lambda _items: None

    def write(self, items: Sequence[str]) -> None:
        """All or none."""
        self.begun.append(list(items))
        for item in items:
            if item in self.held:
                assert self.held[item].wait(LONG)
        bad = [item for item in items if item.startswith("bad")]
        if bad:
            raise Refused(", ".join(bad))
        error = self.failing(items)
        if error is not None:
            raise error

    def waiting(self) -> int:
        """How many have come and are in no write yet."""
        return len(self.gathering._queue)

    def submit(self, threads: ThreadPoolExecutor, *items: str, kind: str = "") -> list[Future[None]]:
        """Each in a thread of its own, in this order."""
        found = []
        for item in items:
            before, begun = self.waiting(), len(self.begun)
            found.append(threads.submit(self.gathering.write, item, kind))
            await_(lambda before=before, begun=begun: self.waiting() > before or len(self.begun) > begun)  # type: ignore[misc]
        return found


def await_(condition: Callable[[], object]) -> None:
    """Until it holds."""
    moment = threading.Event()
    for _ in range(100_000):
        if condition():
            return
        moment.wait(0.001)
    raise TimeoutError


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Enough for all."""
    with ThreadPoolExecutor(32) as found:
        yield found


def test_gathering_writes_at_once_what_is_alone(threads: ThreadPoolExecutor) -> None:
    """Nobody is waited for."""
    store = Store()
    store.gathering.write("a", "")
    store.gathering.write("b", "")
    assert store.begun == [["a"], ["b"]]


def test_gathering_writes_together_what_came_meanwhile_in_its_order(threads: ThreadPoolExecutor) -> None:
    """As many as are allowed; then the next as many. Each leads once: the first is answered before what came later is written."""
    store = Store(most=3)
    store.held["c"] = threading.Event()
    first, *rest = store.submit(threads, "first", "a", "b", "c", "d", "e")
    store.held["first"].set()
    first.result(LONG)
    assert not any(each.done() for each in rest)
    store.held["c"].set()
    for each in rest:
        each.result(LONG)
    assert store.begun == [["first"], ["a", "b", "c"], ["d", "e"]]


def test_gathering_writes_one_kind_at_a_time_and_forgets_none(threads: ThreadPoolExecutor) -> None:
    """One statement is of one kind. Whoever has waited longest leads the next, whatever comes."""
    store = Store()
    done = store.submit(threads, "first", "a1")
    done += store.submit(threads, "b1", kind="b")
    done += store.submit(threads, "a2", "a3")
    done += store.submit(threads, "b2", kind="b")
    store.held["first"].set()
    for each in done:
        each.result(LONG)
    assert store.begun == [["first"], ["a1", "a2", "a3"], ["b1", "b2"]]


def test_gathering_tries_each_alone_after_a_refusal(threads: ThreadPoolExecutor) -> None:
    """The good ones are written, whoever led; each bad one gets its own error."""
    for items in (["bad 1", "good", "bad 2"], ["good", "bad 1", "fine"]):
        store = Store()
        first, *done = store.submit(threads, "first", *items)
        store.held["first"].set()
        first.result(LONG)
        for item, each in zip(items, done, strict=True):
            error = each.exception(LONG)
            assert (str(error) if error else "") == (item if item.startswith("bad") else "")
        assert store.begun[1] == items
        assert sorted(store.begun[2:]) == sorted([item] for item in items)


def test_gathering_that_failed_otherwise_failed_for_each(threads: ThreadPoolExecutor) -> None:
    """It may have been written: nobody may write it again. What comes afterwards is not concerned."""
    store = Store()
    store.failing = lambda items: Lost("the connection") if len(items) > 1 else None
    first, *done = store.submit(threads, "first", "a", "b", "c")
    store.held["first"].set()
    first.result(LONG)
    for each in done:
        with pytest.raises(Lost, match="the connection"):
            each.result(LONG)
    assert store.begun == [["first"], ["a", "b", "c"]]
    store.gathering.write("d", "")


def test_gathering_goes_on_after_its_leader_was_stopped(threads: ThreadPoolExecutor) -> None:
    """The others of its write do not know what became of theirs; those behind them are written."""
    store = Store(most=2)
    store.failing = lambda items: SystemExit("stop") if "a" in items else None
    first, leader, other, later = store.submit(threads, "first", "a", "b", "c")
    store.held["first"].set()
    first.result(LONG)
    assert isinstance(leader.exception(LONG), SystemExit)
    with pytest.raises(Unavailable, match="was stopped"):
        other.result(LONG)
    later.result(LONG)
    assert store.begun == [["first"], ["a", "b"], ["c"]]


def test_gathering_does_not_wait_behind_a_write_that_hangs(threads: ThreadPoolExecutor) -> None:
    """Those who came later have lost a moment. When it goes on at last it has written its own, once, and nothing else has changed."""
    store = Store(patience_seconds=0.01)
    first = threads.submit(store.gathering.write, "first", "")
    await_(lambda: store.begun)
    for item in ("a", "b"):
        threads.submit(store.gathering.write, item, "").result(LONG)
    assert not first.done()
    store.held["first"].set()
    first.result(LONG)
    store.gathering.write("c", "")
    assert store.begun == [["first"], ["a"], ["b"], ["c"]]


def test_gathering_writes_each_item_once_whatever_the_patience() -> None:
    """Many threads that come, lose patience, lead and follow at random: each item is written exactly once."""
    written: list[str] = []
    gathering = Gathering[str](written.extend, lambda _error: False, most=4, patience_seconds=0.0001)
    with ThreadPoolExecutor(16) as many:
        for each in [many.submit(gathering.write, str(number), number % 3) for number in range(2000)]:
            each.result(LONG)
    assert sorted(written, key=int) == [str(number) for number in range(2000)]
    assert (gathering._queue, gathering._leaders) == ([], 0)
