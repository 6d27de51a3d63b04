"""Where a broker is, and how one logs in there."""

import base64
import string
from dataclasses import dataclass, field

import httpx

from apb_controller.rules import steps

_OF_A_TOKEN = frozenset(string.ascii_letters + string.digits + string.punctuation)


class Unusable(Exception):
    """No request can be made of what the broker's object and its Secret say. The message says what to change, and holds no secret."""


@dataclass(frozen=True)
class Basic:
    """A name and a password."""

    username: str
    password: str = field(repr=False)

    def header(self) -> str:
        """Of the request (RFC 7617)."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


@dataclass(frozen=True)
class Bearer:
    """A token."""

    token: str = field(repr=False)

    def header(self) -> str:
        """Of the request (RFC 6750). Raises Unusable."""
        if not self.token or not _OF_A_TOKEN.issuperset(self.token):
            raise Unusable("the token of the broker's Secret is empty, or has a line break or another character that no header can hold")
        return f"Bearer {self.token}"


@dataclass(frozen=True)
class Endpoint:
    """A broker's address, without /v2, and what is needed to speak to it."""

    url: str = field(repr=False)  # may hold a login
    auth: Basic | Bearer | None = None
    ca_bundle: bytes | None = field(default=None, repr=False)  # PEM; instead of the system's authorities
    insecure_skip_tls_verify: bool = False

    def __repr__(self) -> str:
        return f"Endpoint({self.shown})"

    @property
    def shown(self) -> str:
        """The address for people: without login, query and fragment."""
        try:
            url = httpx.URL(self.url)
            return str(url.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")
        except (httpx.InvalidURL, ValueError):
            return "an address that is none"

    def target(self, request: steps.Request) -> httpx.URL:
        """The request's address, without a login. Raises Unusable."""
        base = self._checked()
        path = base.raw_path.decode().rstrip("/") + request.path
        made = base.copy_with(userinfo=b"", raw_path=path.encode())
        if made.raw_path.decode() != path:  # httpx has resolved it, and something else would be asked for
            raise Unusable("an id that is . or .. cannot be a part of an address")
        return made.copy_merge_params(dict(request.query)) if request.query else made

    def authorization(self) -> str | None:
        """The header, or None: the login that is given, else that of the address. Raises Unusable."""
        if self.auth:
            return self.auth.header()
        url = self._checked()
        return Basic(url.username, url.password).header() if url.userinfo else None

    def _checked(self) -> httpx.URL:
        try:
            url = httpx.URL(self.url)
        except (httpx.InvalidURL, ValueError):
            raise Unusable("spec.url is no address such as https://broker.example:8443") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise Unusable("spec.url must begin with https:// or http:// and a host")
        if url.query or url.fragment:
            raise Unusable("spec.url must have no query and no fragment")
        return url
