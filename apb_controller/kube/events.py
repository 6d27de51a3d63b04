"""Events about objects, as client-go's recorder makes them: repeated ones are counted, many similar ones combined, floods limited.

An event is written after what it tells of. It is told in the log when it is not written in the end, so nothing is lost silently.
"""

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from apb_controller import metrics
from apb_controller.kube import errors, objects, patches, resources
from apb_controller.kube.api import Api
from apb_controller.rules import times
from apb_controller.rules.steps import Event

Object = dict[str, Any]
SOURCE = "service-catalog-controller-manager"  # upstream's: dashboards look for it
MOST_KNOWN = 4096  # events and objects that are remembered (client-go)
MOST_SIMILAR, SIMILAR_SECONDS = 10, 600.0  # more of one reason than that are combined (client-go)
BURST, REFILL_SECONDS = 25, 300.0  # of one object (client-go)
MOST_WAITING = 10_000
TRIES = 12
LONGEST_PAUSE_SECONDS = 10.0
COMBINED = "(combined from similar events): "

log = structlog.get_logger("apb.controller.events")


@dataclass
class _Bucket:
    """How many events an object may still have."""

    left: float = BURST
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        """One more; no, when it has had too many."""
        now = time.monotonic()
        self.left, self.at = min(BURST, self.left + (now - self.at) / REFILL_SECONDS), now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class _Recent(OrderedDict[Any, Any]):
    """The entries that were used last."""

    def used(self, key: Any, default: Any) -> Any:
        """The entry, which is made if there is none."""
        value = self.setdefault(key, default)
        self.move_to_end(key)
        if len(self) > MOST_KNOWN:
            self.popitem(last=False)
        return value


class Events:
    """Takes events at once and writes them in their order. `run` is the writing, `flush` waits for its end."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._waiting: asyncio.Queue[tuple[Object, Event, str]] = asyncio.Queue(MOST_WAITING)
        self._written, self._similar, self._buckets = _Recent(), _Recent(), _Recent()

    def tell(self, thing: Object, event: Event) -> None:
        """Something has happened to the object."""
        moment = times.written(datetime.now(UTC))
        try:
            self._waiting.put_nowait((_reference(thing), event, moment))
        except asyncio.QueueFull:
            _lost(_reference(thing), event, "too many events wait to be written")

    async def run(self) -> None:
        """Writes for ever."""
        while True:
            about, event, moment = await self._waiting.get()
            try:
                await self._take(about, event, moment)
            finally:
                self._waiting.task_done()

    async def flush(self, seconds: float) -> None:
        """Waits until all are written, but not longer than that."""
        try:
            await asyncio.wait_for(self._waiting.join(), seconds)
        except TimeoutError:
            while not self._waiting.empty():
                about, event, _ = self._waiting.get_nowait()
                _lost(about, event, "the controller ended")

    async def _take(self, about: Object, event: Event, moment: str) -> None:
        message = self._combined(about, event)
        if not self._buckets.used(about["uid"], _Bucket()).take():
            metrics.EVENTS.labels("limited").inc()
            log.info("too many events of one object", **_named(about), reason=event.reason, message=event.message)
            return
        try:
            await self._write(about, event, message, moment)
            metrics.EVENTS.labels("written").inc()
        except errors.KubeError as error:
            _lost(about, event, str(error))

    def _combined(self, about: Object, event: Event) -> str:
        """The message; when there were many of this reason lately, one that stands for all of them."""
        now = time.monotonic()
        seen: deque[tuple[float, str]] = self._similar.used((about["uid"], event.is_warning, event.reason), deque())
        while seen and now - seen[0][0] > SIMILAR_SECONDS:
            seen.popleft()
        if event.message not in {message for _, message in seen}:
            seen.append((now, event.message))
        if len(seen) < MOST_SIMILAR:
            return event.message
        if len(seen) > MOST_SIMILAR:
            seen.popleft()
        return COMBINED + event.message

    async def _write(self, about: Object, event: Event, message: str, moment: str) -> None:
        is_combined = message.startswith(COMBINED)
        key = (about["uid"], event.is_warning, event.reason, COMBINED if is_combined else message)
        for attempt in range(TRIES):
            try:
                before = self._written.get(key)
                written = await (self._again(before, message, moment) if before else self._first(about, event, message, moment))
                self._written.used(key, written).update(written)
                return
            except (errors.NotFound, errors.Conflict) as error:
                self._written.pop(key, None)  # it has expired: a new one
                failure: errors.KubeError = error
            except errors.Unavailable as error:
                failure = error
                await asyncio.sleep(min(0.1 * 2**attempt, LONGEST_PAUSE_SECONDS))
        raise failure

    async def _first(self, about: Object, event: Event, message: str, moment: str) -> Object:
        made = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about['name']}.{time.time_ns():x}", "namespace": about.get("namespace") or "default"},
            "involvedObject": about,
            "reason": event.reason,
            "message": message,
            "type": "Warning" if event.is_warning else "Normal",
            "source": {"component": SOURCE},
            "reportingComponent": SOURCE,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        return await objects.create(self._api, resources.EVENTS, made)

    async def _again(self, before: Object, message: str, moment: str) -> Object:
        again = {"count": before["count"] + 1, "lastTimestamp": moment, "message": message}
        return await objects.patch(self._api, resources.EVENTS, before, patches.of_content(before, parts=again))


def _reference(thing: Object) -> Object:
    """The object, as an event names it."""
    metadata = thing["metadata"]
    named = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion") if metadata.get(name)}
    return {"apiVersion": thing["apiVersion"], "kind": thing["kind"], **named}


def _named(about: Object) -> dict[str, Any]:
    return {"kind": about["kind"], "namespace": about.get("namespace"), "name": about["name"]}


def _lost(about: Object, event: Event, why: str) -> None:
    metrics.EVENTS.labels("lost").inc()
    log.warning("an event is not written", **_named(about), reason=event.reason, message=event.message, error=why)
