"""HTTP requests as bytes: such as a platform sends, and the ways to make them wrong. Everything comes from one source of chance."""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from tests.fuzz.sensible import BIND_PARAMETERS, BINDINGS, CHANGES_OF, CONTEXTS, IDENTITIES, INSTANCES, PARAMETERS, Plans, identity

GOOD = "Basic " + base64.b64encode(b"admin:secret of the operator").decode()
VERSION, IDENTITY = "X-Broker-API-Version", "X-Broker-API-Originating-Identity"


@dataclass(frozen=True)
class Message:
    """A request before it is bytes. One that is not whole is followed by the end of the stream."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_whole: bool = True

    def named(self, name: str, *values: str) -> "Message":
        """With these values of a header instead of those it has."""
        kept = tuple(header for header in self.headers if header[0].lower() != name.lower())
        return replace(self, headers=(*kept, *((name, value) for value in values)))

    def filled(self, body: bytes) -> "Message":
        """With another body, and its length."""
        return replace(self.named("Content-Length", str(len(body))), body=body)

    def said(self, **fields: Any) -> "Message":
        """With other fields in its body."""
        return self.filled(json.dumps({**json.loads(self.body), **fields}).encode())

    def written(self, line: str | None = None) -> bytes:
        """As it goes over the wire, with another first line perhaps."""
        lines = [line or f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + self.body


class Valid:
    """Requests as a platform or an operator sends them."""

    def __init__(self, plans: Plans, chance: random.Random) -> None:
        self._plans, self._chance = plans, chance

    def any(self) -> Message:
        """One of all routes."""
        reads = [self._read] * 3
        return self._chance.choice(
            [self.provision, self.provision, self.update, self.bind, self.bind, self.unbind, self.deprovision, *reads]
        )()

    def changing(self) -> Message:
        """One that would have an effect."""
        return self._chance.choice([self.provision, self.update, self.bind, self.unbind, self.deprovision])()

    def provision(self) -> Message:
        """An instance, new or known."""
        path, (service_id, plan_id, plan) = self._instance()
        ids = {"service_id": service_id, "plan_id": plan_id, "organization_guid": "here", "space_guid": "here"}
        body = {**ids, "parameters": self._chance.choice(PARAMETERS[plan][:2]), "context": self._chance.choice(CONTEXTS)}
        return self._message("PUT", path, "accepts_incomplete=true").filled(json.dumps(body).encode())

    def update(self) -> Message:
        """A change of one."""
        path, (service_id, _plan_id, plan) = self._instance()
        body = {"service_id": service_id, "parameters": self._chance.choice(CHANGES_OF[plan])}
        return self._message("PATCH", path, "accepts_incomplete=true").filled(json.dumps(body).encode())

    def bind(self) -> Message:
        """A binding, or the rotation of one."""
        path, (service_id, plan_id, _plan) = self._binding()
        body: dict[str, Any] = {"service_id": service_id, "plan_id": plan_id, "parameters": self._chance.choice(BIND_PARAMETERS)}
        if self._chance.random() < 0.2:
            body = {"predecessor_binding_id": self._chance.choice(BINDINGS)}
        query = self._chance.choice(["accepts_incomplete=true"] * 9 + [""])
        return self._message("PUT", path, query).filled(json.dumps(body).encode())

    def unbind(self) -> Message:
        """The end of a binding."""
        path, (service_id, plan_id, _plan) = self._binding()
        return self._message("DELETE", path, f"service_id={service_id}&plan_id={plan_id}&accepts_incomplete=true")

    def deprovision(self) -> Message:
        """The end of an instance."""
        path, (service_id, plan_id, _plan) = self._instance()
        return self._message("DELETE", path, f"service_id={service_id}&plan_id={plan_id}&accepts_incomplete=true")

    def _read(self) -> Message:
        below = [self._instance()[0], self._binding()[0]]
        paths = ["/v2/catalog", *below, *(f"{path}/last_operation" for path in below), "/openapi.json", "/metrics"]
        paths += ["/admin/v1/instances", "/admin/v1/operations", "/admin/v1/audit", f"/admin/v1/instances/{below[0].rpartition('/')[2]}"]
        return self._message("GET", self._chance.choice(paths), "")

    def _instance(self) -> tuple[str, tuple[str, str, str]]:
        instance_id = self._chance.choice(INSTANCES)
        return f"/v2/service_instances/{quote(instance_id, safe='')}", self._plans.of(instance_id)

    def _binding(self) -> tuple[str, tuple[str, str, str]]:
        path, plan = self._instance()
        return f"{path}/service_bindings/{quote(self._chance.choice(BINDINGS), safe='')}", plan

    def _message(self, method: str, path: str, query: str) -> Message:
        headers = [("Host", "broker"), ("Authorization", GOOD), (VERSION, "2.17"), ("Content-Type", "application/json")]
        if self._chance.random() < 0.3:
            headers.append((IDENTITY, IDENTITIES["apb"]))
        return Message(method, f"{path}?{query}" if query else path, tuple(headers))


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


CHECKED = [  # values of Authorization that take a check of a password, which costs a tenth of a second
    ("Basic " + _b64(b"admin:wrong"),),
    ("Basic " + _b64(b"nobody:secret of the operator"),),
    ("Basic " + _b64(b"admin\x00:secret of the operator"),),
    ("Basic " + _b64(b"admin"),),
    ("Basic " + _b64(b":"),),
    ("Basic " + _b64(b"admin:wrong"), "Basic " + _b64(b"admin:wronger")),
    ("Basic " + _b64(b"a" * 5000 + b":" + b"b" * 500),),
    (GOOD[:-4],),
]
UNKNOWN: list[tuple[str, ...]] = [
    (),
    ("",),
    ("Basic",),
    ("Basic ",),
    ("Basic é",),
    ("Basic %%%",),
    ("Basic " + _b64(b"\xff\xfe:\x00"),),
    (GOOD.replace("Basic", "Bearer"),),
    ("Bearer",),
    ("Bearer x",),
    ("Bearer " + "x" * 7000,),
    ("Bearer é\udcff",),
    ('Digest username="admin", realm="apb", nonce="", uri="/", response=""',),
    ("Negotiate " + _b64(b"\x00" * 64),),
]


def unauthenticated(message: Message, chance: random.Random) -> Message:
    """The same, of somebody unknown."""
    made = message.named("Authorization", *chance.choice(CHECKED if chance.random() < 0.05 else UNKNOWN))
    if chance.random() < 0.1:
        return made.named("X-Forwarded-User", "admin").named("Cookie", "session=admin").named("Proxy-Authorization", GOOD)
    return made


def mutated(data: bytes, chance: random.Random) -> bytes:
    """With a few bytes changed, left out, doubled, put in; seldom those of the login, which would cost a check of a password each time."""
    made = bytearray(data.replace(GOOD.encode(), LOGIN))
    for _change in range(chance.choice([1, 1, 2, 4, 8])):
        at = chance.randrange(len(made) + 1)
        end = min(at + chance.choice([1, 1, 1, 4, 32]), len(made))
        made[at:end] = chance.choice(
            [
                b"",
                bytes(made[at:end]) * 2,
                chance.randbytes(max(end - at, 1)),
                chance.choice(TOKENS),
                bytes(made[at:end]) + chance.choice(TOKENS),
            ]
        )
    return bytes(made).replace(LOGIN, GOOD.encode())


LOGIN = b"@"
TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"%",
        b"%00",
        b"%2f",
        b"%ff",
        b"/",
        b"//",
        b"..",
        b"?",
        b"#",
        b"&",
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Upgrade: h2c\r\n",
    ),
    *(
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HEAD ",
        b"OPTIONS ",
        b"TRACE ",
        b"http://other/",
        b"null",
        b"1e999",
        b"-1",
        b"9" * 40,
        b"\xc3\x28",
        "盒".encode(),
    ),
]

Way = Callable[[Message, random.Random], Message]


def _in_context(text: str) -> Way:
    """JSON in which a value is no good."""

    def way(message: Message, _chance: random.Random) -> Message:
        whole = message.said(context={"x": "here"}).body
        return message.filled(whole.replace(b'"here"', text.encode()))

    return way


def _said(**fields: Any) -> Way:
    return lambda message, _chance: message.said(**fields)


def _without(name: str) -> Way:
    def way(message: Message, _chance: random.Random) -> Message:
        return message.filled(json.dumps({key: value for key, value in json.loads(message.body).items() if key != name}).encode())

    return way


def _cut(message: Message, chance: random.Random) -> Message:
    return message.filled(message.body[: chance.randrange(len(message.body))])


def _cut_short(message: Message, chance: random.Random) -> Message:
    return replace(message, body=message.body[: chance.randrange(len(message.body))], is_whole=False)


def _body(body: bytes) -> Way:
    return lambda message, _chance: message.filled(body)


def _header(name: str, *values: str) -> Way:
    return lambda message, _chance: replace(message.named(name, *values), is_whole=False)


def _chunked(encode: Callable[[bytes], bytes]) -> Way:
    def way(message: Message, _chance: random.Random) -> Message:
        bare = message.named("Content-Length").named("Transfer-Encoding", "chunked")
        return replace(bare, body=encode(message.body), is_whole=False)

    return way


def _path(old: str, new: str) -> Way:
    return lambda message, _chance: replace(message, path=message.path.replace(old, new))


def _id(text: str) -> Way:
    """Another id, of what the message is about."""

    def way(message: Message, _chance: random.Random) -> Message:
        path, mark, query = message.path.partition("?")
        return replace(message, path=f"{path.rpartition('/')[0]}/{text}{mark}{query}")

    return way


WAYS_OF_ALL: list[Way] = [
    _header(VERSION),
    _header(VERSION, ""),
    _header(VERSION, "2.12"),
    _header(VERSION, "2.17", "2.17"),
    _header(VERSION, "2.17é"),
    _header(IDENTITY, "kubernetes"),
    _header(IDENTITY, "kubernetes %%%"),
    _header(IDENTITY, "kubernetes é"),
    _header(IDENTITY, "kubernetes " + _b64(b"[1]")),
    _header(IDENTITY, "kubernetes " + _b64(b"\xff\xff")),
    _header(IDENTITY, "kubernetes " + _b64(b'{"username": "a\\u0000b"}')),
    _header(IDENTITY, "kubernetes " + _b64(b'{"username": "\\ud800"}')),
    _header(IDENTITY, "kubernetes " + _b64(b'{"x": NaN}')),
    _header(IDENTITY, "kubernetes " + _b64(b'{"x": 1e999}')),
    _header(IDENTITY, "kubernetes " + _b64(b'{"x": ' + b"9" * 5000 + b"}")),
    _header(IDENTITY, "kubernetes " + _b64(b'{"x": ' + b"[" * 2000 + b"]" * 2000 + b"}")),
    _header(IDENTITY, identity("kubernetes", {"username": "x" * 20000})),
    _header("Content-Length", "x"),
    _header("Content-Length", "-1"),
    _header("Content-Length", "+2"),
    _header("Content-Length", "0x2"),
    _header("Content-Length", "2", "3"),
    _header("Bad Name", "x"),
    _header("Bad\x00Name", "x"),
    _header("X-Bad", "a\x00b"),
    _header("X-Bad", "a\rb"),
    _header("X-Long", "x" * 20000),
    _header("X-Many", *["x"] * 200),
    _id("%00"),
    _id("a%00b"),
    _id("%ff%fe"),
    _id("%C0%80"),
    _id("%ED%A0%80"),
    _id("x" * 801),
    _id("%E7%9B%92" * 300),
    _id("x" * 12000),
    _id("%41" * 5000),
]
WAYS_OF_BODIES: list[Way] = [
    _cut,
    _cut,
    _cut_short,
    _cut_short,
    *map(
        _body,
        (
            b"",
            b"[]",
            b"null",
            b'"x"',
            b"{",
            b"\xff\xfe{}",
            b"{}" * 2,
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'{"\xff": 1}',
            b"1e999",
            b"\0" * 64,
        ),
    ),
    _body(b'{"x": "' + b"x" * (1024 * 1024) + b'"}'),
    *map(
        _in_context,
        ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, '"\\u0000"', '"\\ud800"', '{"\\u0000": 1}', "[" * 100 + "]" * 100),
    ),
    *map(_in_context, ('"\\x"', "'x'", "01", "+1", ".5", "tru", "undefined", '"a\nb"', "//", "[1,]")),
    _said(context={"instance_name": {"a": 1}}),
    _said(context={"instance_name": 7}),
    _said(context={"instance_name": "x" * 10_000}),
    _said(context={"platform": ["kubernetes"]}),
    _said(context={"binding_name": False}),
    _said(context=[]),
    _said(context="x"),
    _said(parameters=[]),
    _said(parameters="x"),
    _said(parameters={"x\0": 1}),
    _said(parameters={"unknown": 1}),
    _said(service_id=7),
    _said(service_id=""),
    _said(plan_id={}),
    _said(service_id=[]),
    _header("Content-Length", "9" * 30),
    _header("Transfer-Encoding", "chunked"),  # together with a length
    _header("Transfer-Encoding", "gzip, chunked"),
    _header("Transfer-Encoding", "chunked", "chunked"),
    _header("Transfer-Encoding", "xchunked"),
    _header("Content-Type", "text/plain"),
    _header("Content-Type", "application/x-www-form-urlencoded"),
    _header("Content-Type", "multipart/form-data; boundary=x"),
    _chunked(lambda body: body),
    _chunked(lambda body: b"zz\r\n" + body + b"\r\n0\r\n\r\n"),
    _chunked(lambda body: b"%x\r\n%s\r\n" % (len(body), body)),  # without its end
    _chunked(lambda body: b"%x\r\n%s" % (len(body) + 10, body)),
    _chunked(lambda body: b"-%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
    _chunked(lambda body: b"%x\n%s\n0\n\n" % (len(body), body)),
    _chunked(lambda body: b"f" * 64 + b"\r\n" + body),
    _chunked(lambda body: b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(body) + 2, b"x" * 20_000, body)),
]


def malformed(message: Message, chance: random.Random) -> Message:
    """The same, in a way that leaves no doubt that it must not be carried out."""
    return chance.choice(WAYS_OF_ALL + (WAYS_OF_BODIES * 2 if message.body else []))(message, chance)
