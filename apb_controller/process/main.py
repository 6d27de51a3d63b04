"""`apb controller`: one process of it."""

import asyncio
import contextlib
import dataclasses
import signal
import socket
import uuid
from pathlib import Path

import structlog

from apb_controller import logs, metrics
from apb_controller.kube import errors
from apb_controller.kube.api import Api
from apb_controller.kube.connection import Connection
from apb_controller.kube.lease import Lease
from apb_controller.process import health
from apb_controller.process.options import Options
from apb_controller.process.term import Term

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
PAUSE_SECONDS = 2.0

log = structlog.get_logger("apb.controller")


def run(options: Options) -> None:
    """Works until SIGTERM or SIGINT. Raises KubeError when it cannot begin."""
    logs.configure(is_verbose=options.is_verbose)
    asyncio.run(Controller(options).run())


class Controller:
    """One process: it waits for the Lease, works as long as it has it, and gives it back at its end."""

    def __init__(self, options: Options) -> None:
        self._options = dataclasses.replace(options, namespace=options.namespace or _own_namespace())
        self._connection = Connection(options.kubeconfig, options.context)
        self._api = Api(self._connection)
        self._is_stopped = asyncio.Event()
        self._term: Term | None = None

    async def run(self) -> None:
        """Until it is told to stop. Raises KubeError when it cannot begin."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._is_stopped.set)
        await self._connection.open()
        try:
            async with health.served(self._options.address, self._is_ready) as port:
                log.info("the controller begins", server=self._connection.server, metrics_port=port)
                await self._work()
                log.info("the controller ends")
        finally:
            await self._connection.close()

    def _is_ready(self) -> bool:
        """Also who waits for the Lease is ready: it is what it should be."""
        return self._term.is_ready if self._term is not None else self._options.has_lease

    async def _work(self) -> None:
        lease = self._lease()
        stopped = asyncio.create_task(self._is_stopped.wait())
        while not stopped.done():
            acquired = asyncio.create_task(lease.acquire() if lease else asyncio.sleep(0))
            await asyncio.wait([acquired, stopped], return_when=asyncio.FIRST_COMPLETED)
            if acquired.done():
                await self._lead(lease, stopped)
            else:
                acquired.cancel()

    def _lease(self) -> Lease | None:
        if not self._options.has_lease:
            return None
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        return Lease(self._api, self._options.namespace or "", self._options.lease, identity, self._options.terms)

    async def _lead(self, lease: Lease | None, stopped: asyncio.Task[bool]) -> None:
        """One term. What it could not cope with is told; the next one begins after a pause."""
        self._term = term = Term(self._api, self._options, (lambda: lease.is_held) if lease else (lambda: True))
        metrics.LEADING.set(1)
        holding = asyncio.create_task(lease.hold() if lease else asyncio.Event().wait())
        working = asyncio.create_task(term.run())
        await asyncio.wait([holding, working, stopped], return_when=asyncio.FIRST_COMPLETED)
        term.stop(is_lost=holding.done())
        try:
            await working
        except Exception as error:
            log.error("the controller could not work", error=_words(error), exc_info=not isinstance(error, errors.KubeError))
        holding.cancel()
        metrics.LEADING.set(0)
        self._term = None
        if lease is not None:
            await lease.release()
        if not stopped.done() and not holding.done():
            await asyncio.wait([stopped], timeout=PAUSE_SECONDS)


def _own_namespace() -> str:
    with contextlib.suppress(OSError):
        return OWN_NAMESPACE.read_text().strip()
    return "default"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
