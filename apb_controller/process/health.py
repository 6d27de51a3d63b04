"""Metrics and health over HTTP: `/metrics`, `/livez`, `/readyz` (and `/healthz/ready`, which upstream's manifests ask)."""

import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from prometheus_client import exposition

from apb_controller import metrics
from apb_controller.kube import errors


@contextlib.asynccontextmanager
async def served(address: tuple[str, int] | None, is_ready: Callable[[], bool]) -> AsyncIterator[int | None]:
    """The port, while it is served. Ready is who leads and knows all objects, and who waits for its turn to lead."""
    if address is None:
        yield None
        return
    runner = web.AppRunner(_application(is_ready), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, *address)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise errors.Refused(f"--metrics {address[0]}:{address[1]}: {error.strerror or error}") from error
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _application(is_ready: Callable[[], bool]) -> web.Application:
    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_ready() else web.Response(status=503, text="not ready: the objects are being read\n")

    async def tell(_request: web.Request) -> web.Response:
        return web.Response(body=exposition.generate_latest(metrics.REGISTRY), headers={"Content-Type": exposition.CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/livez", live), web.get("/metrics", tell)])
    application.add_routes([web.get(path, ready) for path in ("/readyz", "/healthz/ready")])
    return application
