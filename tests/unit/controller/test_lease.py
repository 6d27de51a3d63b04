"""The Lease, on a server of the test's own that has one."""

import asyncio
import copy
import time
from typing import Any

from apb_controller.kube import errors
from apb_controller.kube.lease import Lease, Terms

TERMS = Terms(lasts=1.2, give_up=0.8, pause=0.1)


class Server:
    """An API server, as far as a Lease needs one."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes = 0

    async def call(self, verb: str, _resource: object, _path: str, *, query: object = None, body: Any = None) -> Any:
        """One request. Raises KubeError."""
        await asyncio.sleep(0)
        if verb == "POST":
            self.lease = copy.deepcopy(body)
        if self.lease is None:
            raise errors.NotFound("there is none")
        if verb == "PATCH":
            self._change(body)
        self.writes += verb != "GET"
        self.lease["metadata"] |= {"uid": "u", "resourceVersion": str(self.writes)}
        return copy.deepcopy(self.lease)

    def _change(self, operations: list[dict[str, Any]]) -> None:
        assert self.lease
        for each in operations:
            _, part, field = each["path"].split("/")
            if part == "metadata" and self.lease[part][field] != each["value"]:
                raise errors.Conflict("another one was faster")
            self.lease[part][field] = each["value"]


def lease(server: Server, identity: str) -> Lease:
    return Lease(server, "ns", "one", identity, TERMS)  # type: ignore[arg-type]


def test_lease_is_held_as_long_as_it_is_renewed() -> None:
    """Longer than it lasts."""

    async def run() -> None:
        held = lease(Server(), "a")
        await held.acquire()
        holding = asyncio.create_task(held.hold())
        await asyncio.sleep(1.5 * TERMS.give_up)
        assert held.is_held and not holding.done()
        holding.cancel()

    asyncio.run(run())


def test_lease_that_was_not_held_for_a_moment_is_lost() -> None:
    """Nobody else has it, but whoever asked in that moment has given up what it was about to do: all is to be looked at again."""

    async def run() -> None:
        held = lease(Server(), "a")
        await held.acquire()
        holding = asyncio.create_task(held.hold())
        await asyncio.sleep(TERMS.pause)
        time.sleep(TERMS.give_up + 0.1)
        assert not held.is_held
        await asyncio.wait_for(holding, 5)
        await asyncio.wait_for(held.acquire(), 5)
        assert held.is_held

    asyncio.run(run())


def test_lease_is_taken_when_it_is_not_renewed_or_given_back() -> None:
    """Not while its holder renews it."""

    async def run() -> None:
        server = Server()
        first, second, third = (lease(server, name) for name in "abc")
        await first.acquire()
        holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
        await asyncio.sleep(1.2 * TERMS.lasts)
        assert not waiting.done()
        holding.cancel()
        await asyncio.wait_for(waiting, 10)
        assert not first.is_held and second.is_held
        began = time.monotonic()
        await second.release()
        await third.acquire()
        assert third.is_held and time.monotonic() - began < TERMS.lasts

    asyncio.run(run())
