"""Keeps a store up to date: lists all objects of a kind once, then watches, and lists again only when the server has forgotten too much."""

import asyncio
import random
import time

import structlog

from apb_controller import metrics
from apb_controller.kube import errors, objects
from apb_controller.kube.api import Api
from apb_controller.kube.resources import Resource
from apb_controller.runtime.store import Store

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 10.0
SHORTEST_WATCH_SECONDS = 1.0  # one that ends earlier, with nothing told, is no watch (client-go)

log = structlog.get_logger("apb.controller.informer")


class Informer:
    """Of one kind. `is_synced` is set when the store has all that was there at the start."""

    def __init__(self, api: Api, resource: Resource, store: Store) -> None:
        self._api, self._resource, self._store = api, resource, store
        self._failures, self._version = 0, ""
        self.is_synced = asyncio.Event()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._list()
            self.is_synced.set()
            await self._follow()

    async def _list(self) -> None:
        while True:
            newest = self._store.newest
            try:
                things, version = await objects.all_of(self._api, self._resource)
            except errors.KubeError as error:
                await self._pause("cannot be listed", error)
                continue
            self._failures, self._version = 0, version
            self._store.replace(things, int(version), newest)
            metrics.LISTS.labels(self._resource.kind).inc()
            self._count()
            return

    async def _follow(self) -> None:
        """Until the server does not remember what happened since the version that was seen last."""
        while True:
            try:
                await self._watch()
            except errors.Expired as error:
                log.info("the watch is too old", kind=self._resource.kind, error=str(error))
                return
            except errors.KubeError as error:
                await self._pause("cannot be watched", error)

    async def _watch(self) -> None:
        """Until the server ends it. Raises KubeError."""
        began, seen = time.monotonic(), self._version
        async for event, thing in objects.changes_since(self._api, self._resource, self._version):
            self._failures, self._version = 0, thing["metadata"]["resourceVersion"]
            self._take(event, thing)
        if self._version == seen and time.monotonic() - began < SHORTEST_WATCH_SECONDS:
            raise errors.Unavailable("the watch ended as soon as it had begun")

    def _take(self, event: str, thing: objects.Object) -> None:
        if event in ("ADDED", "MODIFIED"):
            self._store.put(thing)
        elif event == "DELETED":
            self._store.gone(thing)
        self._count()

    def _count(self) -> None:
        metrics.OBJECTS.labels(self._resource.kind).set(len(self._store))

    async def _pause(self, what: str, error: errors.KubeError) -> None:
        self._failures += 1
        seconds = min(SHORTEST_PAUSE_SECONDS * 2.0 ** min(self._failures, 30), LONGEST_PAUSE_SECONDS)
        seconds = max(seconds * random.uniform(0.5, 1.0), error.retry_after or 0)  # noqa: S311 - not all at once
        log.warning(f"objects {what}", kind=self._resource.kind, error=str(error), pause_seconds=round(seconds, 1))
        await asyncio.sleep(seconds)
