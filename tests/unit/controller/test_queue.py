"""What is looked at: each object by one look at a time, none forgotten; and turns at brokers, first come, first served."""

import asyncio

from apb_controller.kube import errors
from apb_controller.runtime.looks import Again, Looks
from apb_controller.runtime.queue import Key, Queue
from apb_controller.runtime.turns import Turns

A, B, C, D = (Key("Kind", "ns", name) for name in "abcd")


def test_queue_gives_each_key_once_and_again_when_it_was_added_meanwhile() -> None:
    """In their order; what happens during a look leads to one more."""

    async def run() -> None:
        queue = Queue()
        for key in (A, B, A):
            queue.add(key)
        assert [await queue.take(), await queue.take()] == [A, B]
        queue.add(A)
        queue.add(A)
        assert not queue.is_idle
        queue.done(B)
        queue.done(A)
        assert await queue.take() == A
        queue.done(A)
        assert queue.is_idle

    asyncio.run(run())


def test_queue_looks_later_when_it_was_last_said() -> None:
    """The last word about a key counts: earlier, later or not at all."""

    async def run() -> None:
        queue = Queue()
        for key, seconds in ((A, 60), (B, 0.01), (C, 0.01)):
            queue.schedule(key, seconds)
        queue.schedule(A, 0.02)
        queue.schedule(C, None)
        assert queue.is_idle
        assert [await queue.take(), await queue.take()] == [B, A]
        await asyncio.sleep(0.03)
        assert C not in queue._waiting

    asyncio.run(run())


def test_turns_are_limited_for_each_broker_and_pass_on_in_order() -> None:
    """Who waits keeps its place when it asks again, and is woken with a turn of its own."""
    woken: list[Key] = []
    turns = Turns(2, woken.append)
    assert [turns.take("slow", key) for key in (A, B, C, D, C)] == [True, True, False, False, False]
    assert turns.take("other", Key("Kind", "ns", "e"))
    turns.give_back(A)
    assert woken == [C] and turns.take("slow", C)
    assert not turns.take("slow", A)
    turns.give_back(B)
    assert woken == [C, D]


def test_turn_of_who_does_not_want_it_any_more_passes_on() -> None:
    """Whether it waits, or has been woken and does not call."""
    woken: list[Key] = []
    turns = Turns(1, woken.append)
    assert [turns.take("slow", key) for key in (A, B, C, D)] == [True, False, False, False]
    turns.give_back(B)
    turns.give_back(A)
    assert woken == [C]
    turns.give_back(C)
    assert woken == [C, D]
    turns.give_back(D)
    assert turns.take("slow", A)


def looked(script: dict[Key, list[object]], most: int = 100) -> list[Key]:
    """The order of looks of which each does what the script says: raise, or lead to another."""

    async def run() -> list[Key]:
        queue, order = Queue(), []

        async def look(key: Key) -> Again:
            order.append(key)
            then = script[key].pop(0)
            if isinstance(then, BaseException):
                raise then
            assert isinstance(then, Again)
            return then

        looks = Looks(queue, Turns(1, queue.add), look)
        for key in script:
            queue.add(key)
        running = asyncio.create_task(looks.run())
        async with asyncio.timeout(10):
            while any(script.values()):
                await asyncio.sleep(0.01)
        running.cancel()
        await looks.finish(1)
        return order

    return asyncio.run(run())


def test_look_that_fails_is_repeated_and_stops_no_other() -> None:
    """Whether the API server refuses, the controller itself has a flaw, or it ends as nobody has thought of."""
    failures = {A: ValueError("a flaw"), B: errors.Refused("no"), C: Again(0), D: asyncio.CancelledError()}
    order = looked({key: [first, Again()] for key, first in failures.items()})
    assert order[:4] == [A, B, C, D]
    assert sorted(order) == [A, A, B, B, C, C, D, D]


def test_look_that_waits_for_something_slow_gives_its_place_to_others() -> None:
    """Otherwise one slow broker would take all places."""

    async def run() -> None:
        queue, answered, seen = Queue(), asyncio.Event(), asyncio.Event()

        async def look(key: Key) -> Again:
            if key == A:
                await looks.elsewhere(answered.wait())
            else:
                seen.set()
            return Again()

        looks = Looks(queue, Turns(1, queue.add), look)
        looks._places = asyncio.Semaphore(1)
        queue.add(A)
        queue.add(B)
        running = asyncio.create_task(looks.run())
        await asyncio.wait_for(seen.wait(), 5)
        answered.set()
        running.cancel()
        await looks.finish(5)
        assert queue.is_idle

    asyncio.run(run())
