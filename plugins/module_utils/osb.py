"""A client of brokers that speak the Open Service Broker API: requests, answers, and what an answer means for whoever asked.

Only the standard library, nothing of Ansible. What instances and bindings are to be is left to osb_instance and osb_binding.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field

VERSION = "2.17"
SPEC = dict(
    url=dict(type="str", required=True),
    username=dict(type="str"),
    password=dict(type="str", no_log=True),
    token=dict(type="str", no_log=True),
    ca_path=dict(type="path"),
    validate_certs=dict(type="bool", default=True),
    timeout=dict(type="int", default=60),
)
LOGIN = dict(required_together=[("username", "password")], mutually_exclusive=[("username", "token")])
PLACE = dict(organization=dict(type="str", default="apb"), space=dict(type="str", default="default"))
PLATFORM = "ansible"
RESEND_AFTER_SECONDS = (0.5, 2)
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 60.0
WAIT_SECONDS = 1800  # where the plan has no maximum_polling_duration
PARTIAL_CHAIN = getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)  # OpenSSL's number; managed hosts may have a Python before 3.10
MOST_BYTES = 16 * 1024 * 1024
_NAMES = uuid.UUID("5f2a4f0e-7f0c-5d4d-9a52-0c3c1f6ab1de")  # of ids that are made from names; never changes


class OsbError(Exception):
    """The broker cannot be asked, or does not do what it is asked for. The message is for people and holds no secret."""


class Unreachable(OsbError):
    """It gave no answer, or only a part of one. Whether the request was carried out is not known."""


class Refused(OsbError):
    """It answered with an error: its status, and the specification's word for it, if there is one."""

    def __init__(self, message: str, status: int, word: str = "") -> None:
        super().__init__(message)
        self.status, self.word = status, word


class Failed(OsbError):
    """The operation ended badly."""


class TimedOut(OsbError):
    """The operation has not ended in time. It goes on."""


@dataclass(frozen=True)
class Answer:
    """A good answer."""

    status: int
    body: dict
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Offer:
    """A plan of a service, as the catalog has them."""

    service: dict
    plan: dict

    @property
    def ids(self) -> dict:
        """As each request names them."""
        return {"service_id": self.service["id"], "plan_id": self.plan["id"]}


@dataclass
class Broker:
    """A broker, as one user of it. Raises OsbError, each with a sentence that names what to do."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_path: str | None = None
    validate_certs: bool = True
    timeout: float = 60

    def __post_init__(self) -> None:
        self.url = checked(self.url)
        handlers = [urllib.request.ProxyHandler({}), _NoRedirects()]
        if self.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=_trust(self.ca_path, self.validate_certs)))
        self._opener = urllib.request.build_opener(*handlers)
        self.sleep, self.clock = time.sleep, time.monotonic

    def catalog(self) -> list:
        """The services that are offered."""
        try:
            return self.call("GET", "/v2/catalog").body.get("services") or []
        except Refused as error:
            if error.status != 404:
                raise
            raise OsbError(f"{self.url} has no catalog ({error}): is the URL right? It is given without /v2") from None

    def call(self, method: str, path: str, query: dict | None = None, body: dict | None = None) -> Answer:
        """One request; sent again when its answer is lost, because OSB counts the same request sent twice as one."""
        for pause_seconds in RESEND_AFTER_SECONDS:
            try:
                return self.call_once(method, path, query, body)
            except Unreachable:
                self.sleep(pause_seconds)
        return self.call_once(method, path, query, body)

    def call_once(self, method: str, path: str, query: dict | None = None, body: dict | None = None) -> Answer:
        """One request, one answer."""
        request = self._request(method, path, query, body)
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                return self._answer(response)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except urllib.error.URLError as error:
            raise self._no_connection(error.reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._no_connection(error) from None

    def _request(self, method: str, path: str, query: dict | None, body: dict | None) -> urllib.request.Request:
        given = urllib.parse.urlencode({name: value for name, value in (query or {}).items() if value is not None})
        headers = {"X-Broker-API-Version": VERSION, "Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        elif self.username is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(  # noqa: S310 - checked() has taken http and https only
            f"{self.url}{path}{'?' if given else ''}{given}", data=data, headers=headers, method=method
        )

    def _answer(self, response) -> Answer:
        body = _document(response)
        if body is None:
            raise OsbError(f"{self.url} answers, but not as a broker does (status {response.status}): is the URL right?")
        return Answer(response.status, body, _retry_after(response.headers))

    def _refusal(self, error: urllib.error.HTTPError) -> OsbError:
        body = {}
        with contextlib.suppress(OSError, http.client.HTTPException):  # the status says enough
            body = _document(error) or {}
        said = str(body.get("description") or body.get("error") or "")
        if error.code in (301, 302, 303, 307, 308):
            place = error.headers.get("Location", "another place")
            return Refused(f"the broker at {self.url} sends its callers to {place}: give the address where it is now as url", error.code)
        if error.code == 401:
            return Refused(f"the broker at {self.url} does not accept this login: check username and password, or token", error.code)
        message = said or f"the broker at {self.url} answered {error.code} {error.reason}"
        return Refused(message, error.code, str(body.get("error") or ""))

    def _no_connection(self, reason: object) -> OsbError:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return OsbError(
                f"the certificate of {self.url} is not trusted ({reason.verify_message}): name who vouches for it by ca_path "
                "(a file of PEM certificates)"
            )
        if isinstance(reason, ssl.SSLError):
            return OsbError(f"{self.url} does not speak TLS as it should ({reason.reason}): is it http instead of https?")
        told = reason if isinstance(reason, str) else getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return Unreachable(f"the broker at {self.url} gives no answer ({told}): does it run, and is the URL right?")

    def settle(
        self, path: str, operation: str | None, text: str, *, deadline: float, removes: bool = False, query: dict | None = None
    ) -> None:
        """Waits for the end of an operation on what is at `path`, as often as the broker wants to be asked.

        `text` says what it is, such as "provision of cache"; `deadline` is a time of `clock`. Raises Failed, TimedOut.
        """
        asked = {**(query or {}), "operation": operation}
        while True:
            state, description, pause_seconds = self._state(path, asked, text, removes)
            if state == "succeeded":
                return
            if state == "failed":
                raise Failed(f"{text} failed: {description or 'the broker gives no reason'}")
            left_seconds = deadline - self.clock()
            if left_seconds <= 0:
                raise TimedOut(
                    f"{text} has not ended in time and goes on ({description or state}): wait longer by wait_timeout, or run this again"
                )
            self.sleep(min(pause_seconds, left_seconds))

    def _state(self, path: str, asked: dict, text: str, removes: bool) -> tuple:
        """State, description, and after how many seconds to ask again (OSB 2.17, "Polling Interval and Duration")."""
        try:
            answer = self.call_once("GET", f"{path}/last_operation", asked)
        except Unreachable as error:
            return "in progress", str(error), PAUSE_SECONDS
        except Refused as error:
            if removes and error.status in (404, 410):
                return "succeeded", "", 0
            if error.status in (400, 401, 403, 404):
                raise Failed(f"{text}: the broker does not tell how it goes on: {error}") from None
            return "in progress", str(error), PAUSE_SECONDS
        pause = PAUSE_SECONDS if answer.retry_after_seconds is None else answer.retry_after_seconds
        return answer.body.get("state"), answer.body.get("description") or "", pause

    def last_state(self, path: str, query: dict | None = None) -> str | None:
        """How the newest operation on what is at `path` stands; None for what does not exist, "" where the broker does not say."""
        try:
            return str(self.call("GET", f"{path}/last_operation", query).body.get("state") or "")
        except Refused as error:
            if error.status in (404, 410):
                return None
            if error.status == 400:
                return ""
            raise


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Where a login is sent is not for the answer of a server to say."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


def connect(params: dict) -> Broker:
    """The broker of a module's parameters. Raises OsbError."""
    return Broker(**{name: params[name] for name in SPEC})


def checked(url: str) -> str:
    """The URL without a slash at its end. Raises OsbError for what is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if usable and "@" in parts.netloc:
        raise OsbError("url holds a user name or password: give them by username and password instead")
    if not usable or parts.query or parts.fragment:
        raise OsbError("url is not of the form http://address:port or https://address, without /v2 and what follows it")
    return url.rstrip("/")


def instance_id(params: dict) -> str:
    """The id that is given, else the one that name, organization and space always make."""
    return params.get("instance_id") or made_id(params["organization"], params["space"], params["instance"])


def made_id(*names: str) -> str:
    """The same id for the same names."""
    return str(uuid.uuid5(_NAMES, json.dumps(names)))


def instance_path(identifier: str) -> str:
    """Where a broker has an instance. Raises OsbError for what cannot be a part of an address."""
    return f"/v2/service_instances/{_part(identifier)}"


def binding_path(instance: str, identifier: str) -> str:
    """Where a broker has a binding. Raises OsbError for what cannot be a part of an address."""
    return f"{instance_path(instance)}/service_bindings/{_part(identifier)}"


def _part(identifier: str) -> str:
    """One part of an address: the removal of a binding called `..` would be one of its instance."""
    if identifier in ("", ".", ".."):
        raise OsbError(f"'{identifier}' cannot be the id of an instance or a binding: give another one")
    return urllib.parse.quote(identifier, safe="")


def service(services: list, name: str) -> dict:
    """The service of the catalog of that name or id. Raises OsbError, which says what there is."""
    return _one(services, name, "service")


def offer(services: list, service: str, plan: str) -> Offer:
    """The plan of the catalog that these names or ids mean. Raises OsbError, which says what there is."""
    found = _one(services, service, "service")
    return Offer(found, _one(found.get("plans") or [], plan, f"plan of {found['name']}"))


def offer_by_ids(services: list, ids: dict) -> Offer:
    """The same by ids; of what has left the catalog only the ids are known."""
    for service in services:
        for plan in service.get("plans") or []:
            if service["id"] == ids["service_id"] and plan["id"] == ids["plan_id"]:
                return Offer(service, plan)
    return Offer({"id": ids["service_id"], "name": ids["service_id"]}, {"id": ids["plan_id"], "name": ids["plan_id"]})


def wait_seconds(params: dict, plan: dict) -> float:
    """How long an operation is waited for."""
    return params["wait_timeout"] or plan.get("maximum_polling_duration") or WAIT_SECONDS


def _one(things: list, name: str, kind: str) -> dict:
    for key in ("name", "id"):
        for thing in things:
            if thing[key] == name:
                return thing
    known = [thing["name"] for thing in things]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(known) or 'none'}"
    raise OsbError(f"the broker offers no {kind} '{name}'; {hint}")


def _document(response) -> dict | None:
    """The JSON object of an answer; None when it is anything else."""
    try:
        found = json.loads(response.read(MOST_BYTES))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _retry_after(headers) -> float | None:
    """In seconds, as the specification recommends; a date or nonsense counts as nothing."""
    text = headers.get("Retry-After") or ""
    return min(float(text), LONGEST_PAUSE_SECONDS) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _trust(ca_path: str | None, validate_certs: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except ssl.SSLError:
        raise OsbError(f"ca_path: {ca_path} holds no certificates: expected PEM") from None
    except OSError as error:
        raise OsbError(f"ca_path: {ca_path} cannot be read: {error.strerror}") from None
    context.verify_flags |= PARTIAL_CHAIN  # the file may hold the broker's own certificate
    if not validate_certs:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
