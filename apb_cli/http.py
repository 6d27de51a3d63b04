"""Requests to a broker: OSB and admin calls, and what each answer means for the user. Nothing here prints.

Whether a call is tried again while waiting is left to `waiting`.
"""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from apb_cli import errors
from apb_cli.connection import Connection

API_VERSION = "2.17"
CONNECT_SECONDS = 10
READ_SECONDS = 60
RESEND_AFTER_SECONDS = (0.5, 1, 2)
LONGEST_RETRY_AFTER_SECONDS = 30.0
PAGE = 200  # instances at a time
JSON = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A good answer of the broker."""

    status: int
    body: JSON
    retry_after_seconds: float


class Client:
    """A broker, as one user. Raises the failures of `errors`, each with a sentence for the user."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        # The environment is not asked for proxies (they would swallow calls to this machine) nor for a .netrc.
        self._http = httpx.Client(
            auth=httpx.BasicAuth(connection.username, connection.password),
            headers={"X-Broker-API-Version": API_VERSION},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            verify=_authorities(connection.ca_file) if connection.url.startswith("https:") else False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    @staticmethod
    def instance_path(instance_id: str) -> str:
        """Where OSB has an instance. Ids of other platforms may hold any character."""
        return f"/v2/service_instances/{quote(instance_id, safe='')}"

    @classmethod
    def binding_path(cls, instance_id: str, binding_id: str) -> str:
        """Where OSB has a binding."""
        return f"{cls.instance_path(instance_id)}/service_bindings/{quote(binding_id, safe='')}"

    def catalog(self) -> list[JSON]:
        """The services that are offered."""
        services: list[JSON] = self.call("GET", "/v2/catalog").body.get("services", [])
        return services

    def instances(self, *, name: str | None = None, space: str | None = None) -> list[JSON]:
        """Instances, all or those of a name and space, page by page."""
        found: list[JSON] = []
        following: str | None = None
        while True:
            query = {"name": name, "space": space, "limit": str(PAGE), "after": following}
            page = self.call("GET", "/admin/v1/instances", query=query).body
            found += page["instances"]
            following = page.get("next")  # a broker of an earlier release gives all at once
            if not following:
                return found

    def instance(self, instance_id: str) -> JSON:
        """One instance."""
        return self.call("GET", f"/admin/v1/instances/{quote(instance_id, safe='')}").body

    def operations(self, *, instance_id: str | None = None, limit: int) -> list[JSON]:
        """Operations, newest first."""
        query = {"instance": instance_id, "limit": str(limit)}
        found: list[JSON] = self.call("GET", "/admin/v1/operations", query=query).body["operations"]
        return found

    def operation(self, operation_id: str) -> JSON:
        """One operation."""
        return self.call("GET", f"/admin/v1/operations/{quote(operation_id, safe='')}").body

    def log(self, operation_id: str, *, after: int, wait_seconds: int = 0) -> JSON:
        """Lines of an operation's log with a higher number than `after`: {"lines": [...], "state": …}."""
        query = {"after": str(after), "wait": str(wait_seconds)}
        return self.call("GET", f"/admin/v1/operations/{quote(operation_id, safe='')}/log", query=query).body

    def intervene(self, what: str, which: str, action: str) -> JSON:
        """What an operator does by hand: retry or cancel of `operations`; protect, unprotect, restore, purge, forget of `instances`."""
        return self.call("POST", f"/admin/v1/{what}/{quote(which, safe='')}/{action}").body

    def audit(self, *, instance_id: str | None, limit: int) -> list[JSON]:
        """Who did what, newest first."""
        found: list[JSON] = self.call("GET", "/admin/v1/audit", query={"instance": instance_id, "limit": str(limit)}).body["audit"]
        return found

    def credentials(self, instance_id: str, binding_id: str) -> JSON:
        """The credentials of a binding that is made."""
        found: JSON = self.call("GET", self.binding_path(instance_id, binding_id)).body.get("credentials") or {}
        return found

    def change(self, method: str, path: str, *, query: dict[str, str] | None = None, body: JSON | None = None) -> Answer:
        """A PUT, PATCH or DELETE of OSB. When its answer is lost it is sent again: OSB counts the same sent twice as one."""
        query = {"accepts_incomplete": "true", **(query or {})}
        is_lost = False
        for pause_seconds in RESEND_AFTER_SECONDS:
            try:
                return self.call(method, path, query=query, body=body)
            except errors.Unreachable as error:
                is_lost = is_lost or isinstance(error, errors.AnswerLost)
                if not is_lost:
                    raise
                time.sleep(pause_seconds)
        try:
            return self.call(method, path, query=query, body=body)
        except errors.Unreachable as error:
            raise errors.Unreachable(f"{error} Whether the request was accepted is not known: see `apb instances`") from error

    def remove(self, path: str, instance: JSON) -> str | None:
        """A DELETE of OSB; returns the operation, or None when it is gone already."""
        try:
            query = {"service_id": instance["service_id"], "plan_id": instance["plan_id"]}
            operation_id: str | None = self.change("DELETE", path, query=query).body.get("operation")
        except errors.NotFound:
            return None
        return operation_id

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: JSON | None = None) -> Answer:
        """One request, one answer."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = self._http.request(method, self.url + path, params=given, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise errors.Unreachable(f"cannot reach the broker at {self.url} {_cure(str(error) or 'no connection in time')}") from error
        except httpx.InvalidURL as error:
            raise errors.Usage(f"the URL of the broker cannot be used: {error}") from error
        except httpx.HTTPError as error:
            raise errors.AnswerLost(f"the broker at {self.url} gave no complete answer ({type(error).__name__}).") from error
        return self._answer(response)

    def _answer(self, response: httpx.Response) -> Answer:
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = None
        if response.is_success and body is not None:
            return Answer(response.status_code, body, _retry_after(response))
        description = str((body or {}).get("description") or (body or {}).get("error") or "")
        raise self._failure(response, description)

    def _failure(self, response: httpx.Response, description: str) -> errors.Failure:
        status = response.status_code
        said = description or f"the broker at {self.url} answered {status} {response.reason_phrase}"
        if status in (401, 403):
            return errors.NotAuthorised(said)
        if status in (429, 502, 503, 504):
            return errors.Unavailable(f"the broker at {self.url} is not available: {said}", _retry_after(response))
        if status >= 500:
            return errors.Failure(said)
        if not description:
            return errors.Unreachable(f"{self.url} does not answer as an apb broker does (status {status}): is the URL right?")
        return errors.NotFound(said) if status in (404, 410) else errors.Refused(said)


def _cure(reason: str) -> str:
    is_distrusted = "CERTIFICATE_VERIFY_FAILED" in reason
    return f"({reason}). " + ("--ca-file or APB_CA_FILE names who vouches for it." if is_distrusted else "Is `apb up` running?")


def _authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Who may vouch for the broker: those of the file, else the system's (or SSL_CERT_FILE's, which OpenSSL itself reads). Raises Usage."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise errors.Usage(f"{ca_file} holds no certificates: expected PEM") from error
    except OSError as error:
        raise errors.Usage(f"{ca_file} cannot be read: {error.strerror}") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold the broker's own certificate
    return context


def _retry_after(response: httpx.Response) -> float:
    """In seconds, as OSB recommends ("Polling Interval and Duration"); a date or nonsense counts as two."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() and len(text) < 10 else 2.0
