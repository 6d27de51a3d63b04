"""How the API server is reached: a kubeconfig, or the account of the pod. The login is read anew when it is refused."""

import os
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp

from apb_controller.kube import errors, library

RENEWAL_PAUSE_SECONDS = 10
CONNECTIONS = 64
IN_A_POD = "KUBERNETES_SERVICE_HOST"


class Connection:
    """A pool of connections with a login.

    `kubeconfig`: a file; None for that of $KUBECONFIG, else the pod's own account, else ~/.kube/config.
    """

    def __init__(self, kubeconfig: Path | None = None, context: str | None = None) -> None:
        self._kubeconfig, self._context = kubeconfig, context
        self._configuration: Any = library.configuration.Configuration()
        self._client: Any = None
        self._renewed = 0.0

    async def open(self) -> None:
        """Reads the configuration. Raises Refused, whose message says what is wrong with it."""
        try:
            configuration = library.configuration.Configuration()
            configuration.connection_pool_maxsize = CONNECTIONS
            await self._load(configuration)
            client = _with_proxy(library.rest.RESTClientObject(configuration), configuration.host)
        except (library.config.ConfigException, OSError, ValueError, AssertionError) as error:
            raise errors.Refused(f"no way to an API server: {str(error) or type(error).__name__}") from error
        finally:
            # OpenSSL reads keys from files only; those that the library wrote for it are needed no more.
            library.config.kube_config._cleanup_temp_files()
        await self.close()
        self._configuration, self._client = configuration, client

    async def close(self) -> None:
        """Closes all connections."""
        if self._client is not None:
            await self._client.close()

    @property
    def server(self) -> str:
        """Its URL."""
        return str(self._configuration.host)

    async def send(self, verb: str, url: str, headers: dict[str, str], body: Any, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """One request; the answer's body is not read yet. Raises Unavailable."""
        try:
            login = (await self._configuration.auth_settings()).get("BearerToken")
            given = {**headers, **({"Authorization": login["value"]} if login and login["value"] else {})}
            response: aiohttp.ClientResponse = await self._client.request(
                verb, self._configuration.host + url, headers=given, body=body, _preload_content=False, _request_timeout=timeout
            )
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise errors.Unavailable(f"the API server cannot be reached: {str(error) or type(error).__name__}") from error
        return response

    async def renew(self) -> bool:
        """Reads the login anew, after it was refused; no, when that was just done."""
        if time.monotonic() - self._renewed < RENEWAL_PAUSE_SECONDS:
            return False
        self._renewed = time.monotonic()
        await self.open()
        return True

    async def _load(self, configuration: Any) -> None:
        given = self._kubeconfig or os.environ.get("KUBECONFIG")
        if not given and os.environ.get(IN_A_POD):
            library.config.load_incluster_config(configuration)
            return
        path = str(given or Path.home() / ".kube" / "config")
        if not any(Path(one).expanduser().is_file() for one in path.split(os.pathsep)):
            raise library.config.ConfigException(f"there is no file {path}; name a kubeconfig by --kubeconfig or KUBECONFIG")
        await library.config.load_kube_config(path, self._context, configuration, persist_config=False)


def _with_proxy(client: Any, server: str) -> Any:
    """With the environment's proxy, found once: aiohttp would look for it, and for a netrc, in threads at each request."""
    host = urllib.parse.urlsplit(server)
    if not client.proxy and not urllib.request.proxy_bypass(host.netloc):
        client.proxy = urllib.request.getproxies().get(host.scheme)
    connector = client.pool_manager.connector
    client.pool_manager.detach()
    client.pool_manager = aiohttp.ClientSession(connector=connector, trust_env=False, read_bufsize=2**21)
    return client
