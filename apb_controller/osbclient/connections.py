"""Connections that are kept for the next request: of each address and TLS configuration its own, given up when nobody uses them.

A login is none of their properties: it goes with each request, so that a rotated one needs no new connections.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import cookiejar

import httpx

from apb_controller.osbclient import endpoint, tls

KEPT_SECONDS = 300.0  # after the last use; what it takes to make them anew is reading the system's authorities
IDLE_SECONDS = 30.0  # of one connection, between two requests
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=IDLE_SECONDS)


@dataclass
class _Kept:
    http: httpx.AsyncClient
    users: int = 0
    end: asyncio.TimerHandle | None = None


_Key = tuple[str, bytes | None, bool]


class Connections:
    """Those of one event loop."""

    def __init__(self, kept_seconds: float = KEPT_SECONDS) -> None:
        self._kept_seconds = kept_seconds
        self._kept: dict[_Key, _Kept] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._kept)

    @contextlib.asynccontextmanager
    async def to(self, broker: endpoint.Endpoint) -> AsyncIterator[httpx.AsyncClient]:
        """Those to a broker, for one request. Raises endpoint.Unusable."""
        key = (broker.shown, broker.ca_bundle, broker.insecure_skip_tls_verify)
        if key not in self._kept:
            self._kept[key] = _Kept(_made(broker))
        kept = self._kept[key]
        kept.users += 1
        if kept.end:
            kept.end.cancel()
            kept.end = None
        try:
            yield kept.http
        finally:
            kept.users -= 1
            if not kept.users and self._kept.get(key) is kept:
                kept.end = asyncio.get_running_loop().call_later(self._kept_seconds, self._give_up, key)

    def _give_up(self, key: _Key) -> None:
        task = asyncio.get_running_loop().create_task(self._kept.pop(key).http.aclose())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Ends all, also under those who still use them."""
        kept = list(self._kept.values())
        self._kept.clear()
        for each in kept:
            if each.end:
                each.end.cancel()
        await asyncio.gather(*self._ending, *(each.http.aclose() for each in kept))


def _made(broker: endpoint.Endpoint) -> httpx.AsyncClient:
    context = tls.context(broker.ca_bundle, insecure_skip_tls_verify=broker.insecure_skip_tls_verify)
    try:
        return httpx.AsyncClient(verify=context, limits=LIMITS, cookies=_no_cookies())
    except (ImportError, ValueError, httpx.InvalidURL):  # their words may hold a proxy's password
        raise endpoint.Unusable("the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used") from None


def _no_cookies() -> cookiejar.CookieJar:
    """A jar that takes none: no request is to depend on the answer to another."""
    return cookiejar.CookieJar(cookiejar.DefaultCookiePolicy(allowed_domains=[]))
