"""Requests to the API server: JSON there and back, its errors as our own, each one counted."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from apb_controller import metrics
from apb_controller.kube import errors
from apb_controller.kube.connection import Connection
from apb_controller.kube.resources import Resource

AGENT = "apb-controller"
JSON, JSON_PATCH = "application/json", "application/json-patch+json"
METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
# Compressing costs the API server more than it saves within a cluster.
HEADERS = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
UNAUTHORIZED = 401


class Api:
    """One API server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def call(
        self, verb: str, resource: Resource, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, is_list: bool = False
    ) -> Any:
        """One request and its answer. Raises KubeError."""
        headers = {"Accept": accepted(resource, is_list=is_list), "Content-Type": JSON_PATCH if verb == "PATCH" else JSON}
        response = await self._send(verb, resource, path, query, headers, body, TIMEOUT)
        try:
            return json.loads(await response.read())
        except (aiohttp.ClientError, OSError) as error:
            raise errors.Unavailable(f"the API server's answer ended early: {str(error) or type(error).__name__}") from error
        except ValueError as error:
            raise errors.Unavailable("the API server's answer is no JSON") from error
        finally:
            response.release()

    async def stream(
        self, resource: Resource, path: str, query: Mapping[str, str], silence_seconds: float
    ) -> AsyncIterator[dict[str, Any]]:
        """The events of a watch, as they come, until the server or a silence ends it. Raises KubeError."""
        timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=silence_seconds)
        response = await self._send("GET", resource, path, query, {"Accept": accepted(resource, is_list=False)}, None, timeout, "WATCH")
        try:
            async for line in _lines(response):
                yield json.loads(line)
        except TimeoutError:
            return
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise errors.Unavailable(f"a watch broke off: {str(error) or type(error).__name__}") from error
        finally:
            response.close()

    async def _send(
        self,
        verb: str,
        resource: Resource,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: Any,
        timeout: aiohttp.ClientTimeout,
        called: str = "",
    ) -> aiohttp.ClientResponse:
        url = f"{path}?{urlencode(query)}" if query else path
        for _ in range(2):
            response = await self._connection.send(verb, url, {**HEADERS, **headers}, body, timeout)
            metrics.API_REQUESTS.labels(called or verb, resource.kind, response.status).inc()
            if response.status < 400:
                return response
            refused = errors.of_answer(response.status, await _body(response), response.headers.get("Retry-After"))
            if response.status != UNAUTHORIZED or not await self._connection.renew():
                break
        raise refused


def accepted(resource: Resource, *, is_list: bool) -> str:
    """How much of the objects is asked for."""
    return METADATA.format("List" if is_list else "") if resource.is_metadata_only else JSON


async def _body(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, OSError):
        return b""
    finally:
        response.release()


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
