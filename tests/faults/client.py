"""A platform that does not give up: it sends the same request again until the broker answers, whatever happens to that meanwhile."""

import json
import ssl
import time
from http import HTTPStatus

import httpx

PATIENCE_SECONDS = 150
PAUSE_SECONDS = 0.1


class Client:
    """HTTP to the broker. `odd` are answers that no fault excuses."""

    def __init__(self, state):
        admin = json.loads(state.admin_file.read_text())
        self.odd, self.repeated = [], 0
        self._options = {
            "base_url": admin["url"],
            "auth": (admin["username"], admin["password"]),
            "headers": {"X-Broker-API-Version": "2.17"},
            "timeout": 30,
            "trust_env": False,
            "limits": httpx.Limits(max_keepalive_connections=0),
            "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # made once; there is no TLS here
        }

    def send(self, method, path, **request):
        """The first answer that is not about the broker itself: connections may break, and 503 is to be repeated."""
        end = time.monotonic() + PATIENCE_SECONDS
        with httpx.Client(**self._options) as http:
            while True:
                try:
                    response = http.request(method, path, **request)
                    if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                        return response
                    reason = f"{method} {path}: {response.status_code} {response.text}"
                    if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                        self.odd.append(reason)
                except httpx.TransportError as error:
                    reason = f"{method} {path}: {error!r}"
                self.repeated += 1
                assert time.monotonic() < end, f"no answer within {PATIENCE_SECONDS} s: {reason}"
                time.sleep(PAUSE_SECONDS)

    def operations(self, instance):
        """All operations of an instance, newest first."""
        return self.send("GET", "/admin/v1/operations", params={"instance": instance, "limit": 1000}).json()["operations"]
