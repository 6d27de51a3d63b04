"""The controller's own door to an API server, for tests of what is behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from apb_controller.kube.api import Api
from apb_controller.kube.connection import Connection


def on(kubeconfig: Path | None, work: Callable[[Api], Awaitable[None]]) -> None:
    """Does it with an Api of that kubeconfig; None: of the pod's account."""

    async def run() -> None:
        connection = Connection(kubeconfig)
        await connection.open()
        try:
            await work(Api(connection))
        finally:
            await connection.close()

    asyncio.run(run())
