"""How a store is kept up to date: watches go on where they ended, and all is listed again when the server has forgotten too much."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from apb_controller.kube import errors, resources
from apb_controller.runtime.informer import Informer
from apb_controller.runtime.store import Store

Object = dict[str, Any]
TOO_OLD = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}}


def thing(name: str, version: int) -> Object:
    return {"metadata": {"name": name, "namespace": "ns", "uid": f"uid of {name}", "resourceVersion": str(version)}}


class Server:
    """Lists and watches that a test has written down: `watches` are lists of events, of which an exception is the end."""

    def __init__(self, lists: list[tuple[int, list[Object]]], watches: list[list[Any]]) -> None:
        self._lists, self._watches = lists, watches
        self.since: list[str] = []
        self.listed = 0

    async def call(self, *_: object, **__: object) -> Object:
        """The next list; the last one again and again."""
        version, things = self._lists[min(self.listed, len(self._lists) - 1)]
        self.listed += 1
        return {"items": things, "metadata": {"resourceVersion": str(version)}}

    async def stream(self, _resource: object, _path: str, query: dict[str, str], _silence: float) -> AsyncIterator[Object]:
        """The next watch; one that tells nothing when there is none."""
        self.since.append(query["resourceVersion"])
        for each in self._watches.pop(0) if self._watches else [asyncio.Event()]:
            if isinstance(each, Exception):
                raise each
            if isinstance(each, asyncio.Event):
                await each.wait()
            yield each


def informed(server: Server, until: Callable[[Store], bool], seconds: float = 10) -> Store:
    """The store of an informer, when that holds of it."""
    store = Store()

    async def run() -> None:
        running = asyncio.create_task(Informer(server, resources.INSTANCES, store).run())  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(seconds):
                while not until(store):
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()

    asyncio.run(run())
    return store


def names(store: Store) -> list[str]:
    return sorted(each["metadata"]["name"] for each in store)


@pytest.mark.parametrize("way", [TOO_OLD, errors.Expired("too old resource version", 410)], ids=["in the watch", "at its beginning"])
def test_watch_that_is_too_old_leads_to_a_list(way: Any) -> None:
    """What has gone meanwhile is not there any more, what came is."""
    server = Server([(5, [thing("old", 4)]), (20, [thing("new", 19)])], [[way]])
    assert names(informed(server, lambda store: names(store) == ["new"])) == ["new"]
    assert (server.listed, server.since[0]) == (2, "5")


def test_watch_that_broke_off_goes_on_from_what_was_seen() -> None:
    """Bookmarks move that on as well; nothing is listed again."""
    events = [
        {"type": "ADDED", "object": thing("a", 7)},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}},
        errors.Unavailable("a watch broke off"),
    ]
    server = Server([(5, [])], [events, [{"type": "DELETED", "object": thing("a", 14)}, asyncio.Event()]])
    informed(server, lambda store: len(server.since) == 2 and not names(store))
    assert (server.since, server.listed) == (["5", "12"], 1)


def test_watch_that_ends_at_once_is_not_begun_again_at_once() -> None:
    """A server that ends each one would be asked as fast as it can answer."""
    server = Server([(5, [])], [[] for _ in range(1000)])
    with pytest.raises(TimeoutError):
        informed(server, lambda _store: False, seconds=0.5)
    assert 1 <= len(server.since) <= 4
