"""One term as leader: reads all objects, looks at what needs a look, until it is told to stop or does not lead any more."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from apb_controller.kube import resources
from apb_controller.kube.api import Api
from apb_controller.kube.events import Events
from apb_controller.osbclient.client import Client
from apb_controller.process.cluster_id import found_or_made
from apb_controller.process.options import Options
from apb_controller.reconcilers import triggers
from apb_controller.reconcilers.bindings import Bindings
from apb_controller.reconcilers.brokers import Brokers, Entries
from apb_controller.reconcilers.calls import Calls
from apb_controller.reconcilers.context import Context, NotLeading
from apb_controller.reconcilers.instances import Instances
from apb_controller.reconcilers.known import Known
from apb_controller.reconcilers.shell import Shell
from apb_controller.runtime.informer import Informer
from apb_controller.runtime.looks import NOT_AGAIN, Again, Look, Looks
from apb_controller.runtime.queue import Key, Queue
from apb_controller.runtime.store import Object
from apb_controller.runtime.turns import Turns
from apb_controller.scopes import BOTH

FLUSH_SECONDS = 3.0

log = structlog.get_logger("apb.controller")


class Term:
    """`is_leading` says whether this controller may still work; `is_ready` whether it has read all objects."""

    def __init__(self, api: Api, options: Options, is_leading: Callable[[], bool]) -> None:
        self._api, self._options, self._is_leading = api, options, is_leading
        self._queue = Queue()
        self._turns = Turns(options.calls_per_broker, self._queue.add)
        self._looks = Looks(self._queue, self._turns, self._look)
        self._known = Known(self._on_change)
        self._events = Events(api)
        self._client = Client(options.broker_timeout_seconds)
        self._by_kind: dict[str, Look] = {}
        self._is_stopped, self._stop_seconds = asyncio.Event(), 0.0
        self.is_ready = False

    async def run(self) -> None:
        """Works until it is told to `stop`. Raises KubeError when it cannot begin."""
        try:
            await self._run(time.monotonic())
        finally:
            await self._looks.finish(0)
            self._queue.clear()
            await self._client.close()

    async def _run(self, began: float) -> None:
        self._by_kind = self._reconcilers(await self._begin())
        async with asyncio.TaskGroup() as tasks:
            informers = [Informer(self._api, resource, self._known.stores[kind]) for kind, resource in resources.WATCHED.items()]
            background = [tasks.create_task(work) for work in (self._events.run(), *(informer.run() for informer in informers))]
            looking = tasks.create_task(self._work(informers, began))
            await self._is_stopped.wait()
            looking.cancel()
            await self._looks.finish(self._stop_seconds)
            self._queue.clear()
            await self._events.flush(FLUSH_SECONDS)
            for each in background:
                each.cancel()

    def stop(self, *, is_lost: bool) -> None:
        """No look begins any more. Those that have begun may end by themselves, unless another controller may be working by now."""
        self._stop_seconds = 0.0 if is_lost else self._options.stop_seconds
        self.is_ready = False
        self._is_stopped.set()

    async def _work(self, informers: list[Informer], began: float) -> None:
        for informer in informers:
            await informer.is_synced.wait()
        self._look_at_everything()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_when_idle(began))
            await self._looks.run()

    async def _begin(self) -> Context:
        namespace = self._options.namespace or "default"
        cluster_id = await found_or_made(self._api, namespace)
        since = datetime.now(UTC)
        return Context(self._api, self._known, self._events, self._options.settings, cluster_id, since, self._is_leading)

    def _reconcilers(self, context: Context) -> dict[str, Look]:
        calls = Calls(context, self._client, self._turns, self._looks)
        entries = Entries(context)
        found: dict[str, Look] = {subject.kind: Shell(context, subject, calls).look for subject in (Instances(context), Bindings(context))}
        for scope in BOTH:
            found[scope.broker] = Brokers(context, scope, calls).look
            found[scope.service_class] = found[scope.plan] = entries.look
        return found

    async def _look(self, key: Key) -> Again:
        try:
            return await self._by_kind[key.kind](key)
        except NotLeading:
            return NOT_AGAIN

    def _look_at_everything(self) -> None:
        self.is_ready = True
        for key in triggers.all_keys(self._known):
            self._queue.add(key)

    def _on_change(self, kind: str, before: Object | None, after: Object | None) -> None:
        if self.is_ready:
            for key in triggers.keys(self._known, kind, before, after):
                self._queue.add(key)

    async def _tell_when_idle(self, began: float) -> None:
        count = sum(len(self._known.stores[kind]) for kind in resources.CATALOG)
        while not self._queue.is_idle:
            await asyncio.sleep(0.05)
        log.info("everything has been looked at", objects=count, seconds=round(time.monotonic() - began, 2))
