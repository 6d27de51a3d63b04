"""Keeps a store up to date: lists all objects of a kind once, then watches, and lists again only when the server has forgotten too much."""

import asyncio
import random

import structlog

from apb_controller import metrics
from apb_controller.kube import errors, objects
from apb_controller.kube.api import Api
from apb_controller.kube.resources import Resource
from apb_controller.runtime.store import Store

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 10.0

log = structlog.get_logger("apb.controller.informer")


class Informer:
    """Of one kind. `is_synced` is set when the store has all that was there at the start."""

    def __init__(self, api: Api, resource: Resource, store: Store) -> None:
        self._api, self._resource, self._store = api, resource, store
        self._failures = 0
        self.is_synced = asyncio.Event()

    async def run(self) -> None:
        """For ever."""
        while True:
            version = await self._list()
            self.is_synced.set()
            await self._follow(version)

    async def _list(self) -> str:
        while True:
            newest = self._store.newest
            try:
                things, version = await objects.all_of(self._api, self._resource)
            except errors.KubeError as error:
                await self._pause("cannot be listed", error)
                continue
            self._failures = 0
            self._store.replace(things, int(version), newest)
            metrics.LISTS.labels(self._resource.kind).inc()
            self._count()
            return version

    async def _follow(self, version: str) -> None:
        """Until the server does not remember what happened since `version`."""
        while True:
            try:
                async for event, thing in objects.changes_since(self._api, self._resource, version):
                    version = thing["metadata"]["resourceVersion"]
                    self._failures = 0
                    self._take(event, thing)
            except errors.Expired:
                log.info("the watch is too old", kind=self._resource.kind)
                return
            except errors.KubeError as error:
                await self._pause("cannot be watched", error)

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
