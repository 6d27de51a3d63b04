"""One controller works at a time: the one that holds the Lease. The others wait, and take over when it is not renewed or is given back.

The rules are client-go's: who waits goes by its own clock since it last saw a change, so clocks need not agree.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from apb_controller.kube import errors, objects, patches, resources
from apb_controller.kube.api import Api

Object = dict[str, Any]
log = structlog.get_logger("apb.controller.lease")


@dataclass(frozen=True)
class Terms:
    """Seconds (client-go's defaults): how long a lease lasts, when its holder gives up renewing it, how often it tries."""

    lasts: float = 15.0
    give_up: float = 10.0
    pause: float = 2.0


class Lease:
    """The Lease `namespace/name`, for the controller that calls itself `identity`."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, terms: Terms | None = None) -> None:
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self.terms = terms or Terms()
        self._seen: Object | None = None
        self._seen_at = 0.0
        self._held_until = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this controller may work: it renewed the lease not longer ago than it is allowed."""
        return time.monotonic() < self._held_until

    async def acquire(self) -> None:
        """Waits until it is this controller's."""
        while not await self._attempt():
            await asyncio.sleep(self.terms.pause)
        log.info("leading", lease=f"{self._namespace}/{self._name}", identity=self._identity)

    async def hold(self) -> None:
        """Renews it; returns when it is lost.

        What was renewed too late is lost as well, though nobody else has it: who asked in between was told that it is not held, and has
        given up what it was about to do.
        """
        while await self._is_renewed(self._held_until):
            pass
        log.error("the lease is lost", lease=f"{self._namespace}/{self._name}", identity=self._identity)

    async def _is_renewed(self, until: float) -> bool:
        """Whether it is held without a gap: before `until` it was renewed, or may still be."""
        await asyncio.sleep(min(self.terms.pause, max(0.0, until - time.monotonic())))
        if time.monotonic() < until:
            await self._attempt(until - time.monotonic())
        return time.monotonic() < until

    async def release(self) -> None:
        """Gives it back, so that another one need not wait for its end."""
        if not self.is_held or self._seen is None:
            return
        self._held_until = 0.0
        try:
            await self._write(self._seen, {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()})
            log.info("the lease is given back", lease=f"{self._namespace}/{self._name}")
        except errors.KubeError as error:
            log.warning("the lease is not given back", error=str(error))

    async def _attempt(self, seconds: float | None = None) -> bool:
        """Takes or renews it, if it may, within that time."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.terms.give_up if seconds is None else seconds):
                await self._take_or_renew()
        except errors.Conflict:
            return False  # another one was faster
        except (errors.KubeError, TimeoutError) as error:
            log.warning("the lease cannot be written", error=str(error) or "no answer in time")
            return False
        if self._seen is None or self._seen["spec"].get("holderIdentity") != self._identity:
            return False
        self._held_until = began + self.terms.give_up
        return True

    async def _take_or_renew(self) -> None:
        try:
            found = await objects.read(self._api, resources.LEASES, self._namespace, self._name)
        except errors.NotFound:
            self._saw(await self._create())
            return
        self._saw(found)
        spec = found["spec"]
        if spec.get("holderIdentity") == self._identity:
            self._saw(await self._write(found, {"renewTime": _now()}))
        elif not spec.get("holderIdentity") or time.monotonic() - self._seen_at > (spec.get("leaseDurationSeconds") or 0):
            changes = {"acquireTime": _now(), "leaseTransitions": (spec.get("leaseTransitions") or 0) + 1}
            self._saw(await self._write(found, {**self._terms(), **changes}))

    def _saw(self, found: Object) -> None:
        if self._seen is None or self._seen["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            self._seen_at = time.monotonic()
        self._seen = found

    def _terms(self) -> Object:
        return {"holderIdentity": self._identity, "leaseDurationSeconds": max(1, round(self.terms.lasts)), "renewTime": _now()}

    async def _create(self) -> Object:
        metadata = {"name": self._name, "namespace": self._namespace}
        spec = {**self._terms(), "acquireTime": _now(), "leaseTransitions": 0}
        made = {"apiVersion": resources.LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            return await objects.create(self._api, resources.LEASES, made)
        except errors.AlreadyExists as error:
            raise errors.Conflict(str(error), error.status) from error

    async def _write(self, found: Object, changes: Object) -> Object:
        operations = patches.of_content(found, parts={f"spec.{name}": value for name, value in changes.items()})
        return await objects.patch(self._api, resources.LEASES, found, operations)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
