"""Writes to the API server, each only if the object is what it was when the rules saw it; what they return is known at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from apb_controller.kube import errors, objects, patches, resources
from apb_controller.reconcilers.context import Context
from apb_controller.rules.steps import Deletion, Step
from apb_controller.runtime.store import version_of

Object = dict[str, Any]
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0

log = structlog.get_logger("apb.controller")


class Writes:
    """Of one term as leader."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def step(self, thing: Object, step: Step) -> Object:
        """Writes what a step says: first the status, so that what was done is known before the object may go; events when it is written.

        Raises KubeError: Conflict when the object has changed meanwhile.
        """
        if step.status is not None:
            thing = await self._status(thing, step.status)
        for event in step.events:
            self._context.events.tell(thing, event)
        if step.metadata or step.spec:
            parts = {f"spec.{name}": value for name, value in (step.spec or {}).items()}
            thing = await self.patch(thing, patches.of_content(thing, step.metadata, parts))
        return thing

    async def patch(self, thing: Object, operations: patches.Operations, subresource: str | None = None) -> Object:
        """One change of an object. Raises KubeError."""
        self._context.require_leading()
        written = await objects.patch(self._context.api, resources.WATCHED[thing["kind"]], thing, operations, subresource)
        is_gone = written["metadata"].get("deletionTimestamp") and not written["metadata"].get("finalizers")
        (self._context.known.gone if is_gone else self._context.known.put)(written)
        return written

    async def delete(self, kind: str, namespace: str, name: str, uid: str | None) -> bool:
        """Deletes an object, unless another one has its name; whether it is gone for good. Raises KubeError."""
        self._context.require_leading()
        there = self._context.known.get(kind, namespace, name)
        try:
            left = await objects.delete(self._context.api, resources.WATCHED[kind], namespace, name, uid)
        except errors.Conflict:
            left = None  # what was to be deleted is not there any more
        if left is not None:
            self._context.known.put(left)
            return False
        if there is not None and uid in (None, there["metadata"]["uid"]):
            self._context.known.gone(there)
        return True

    async def delete_all(self, namespace: str, deletions: tuple[Deletion, ...]) -> bool:
        """Whether all are gone."""
        gone = [await self.delete(each.kind, namespace, each.name, each.uid) for each in deletions]
        return all(gone)

    async def fresh(self, thing: Object) -> Object | None:
        """The object as the server has it now; None if it has gone, or another one has its name. Raises KubeError."""
        metadata = thing["metadata"]
        resource = resources.WATCHED[thing["kind"]]
        try:
            found = await self.surely(lambda: objects.read(self._context.api, resource, metadata.get("namespace"), metadata["name"]))
        except errors.NotFound:
            self._context.known.gone(thing)
            return None
        self._context.known.put(found)
        return found if found["metadata"]["uid"] == metadata["uid"] else None

    async def surely(self, work: Callable[[], Awaitable[Object]]) -> Object:
        """Does it again while the server cannot be reached: an answer of a broker that is not written down would be lost.

        Also while it forbids it, as a server does that has just begun. Raises other KubeErrors, and NotLeading.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._context.require_leading()
            try:
                return await work()
            except (errors.Unavailable, errors.Forbidden) as error:
                log.warning("a write is repeated", error=str(error), pause_seconds=pause)
                await asyncio.sleep(max(pause, error.retry_after or 0))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _status(self, thing: Object, status: Object) -> Object:
        """An answer that got lost on its way from the server may have been that the status is written: then it is there."""
        operations = patches.of_status(thing, status)
        try:
            return await self.surely(lambda: self.patch(thing, operations, "status"))
        except errors.Conflict:
            found = await self.fresh(thing)
            if found is not None and found.get("status") == status and version_of(found) > version_of(thing):
                return found
            raise
