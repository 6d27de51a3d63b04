"""The OSB client on real sockets: what is sent, what is told when no answer comes, and that connections are kept and given up."""

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import ssl
import struct
import uuid
from pathlib import Path

import pytest
import structlog

from apb_controller.osbclient import client, connections
from apb_controller.rules import osb
from apb_controller.rules.answers import Answer, Call, Trouble
from tests import certificates, ports
from tests.integration.controller import wire

PROVISION = osb.request(Call.PROVISION, "/v2/service_instances/a%2Fb", identity="kubernetes e30=", body={"plan_id": "ü"}, may_be_async=True)
SECRET = "tellnobody"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def asked(*answers, request=PROVISION, timeout_seconds=5.0, endpoint=None, times=1, **server):
    """What a broker that answers so is asked, and what is told of it: (the wire, the last answer)."""

    async def ask():
        async with wire.serving(*answers, **server) as served, contextlib.aclosing(_Closing(timeout_seconds)) as http:
            for _ in range(times):
                answer = await http.send(endpoint(served.url) if endpoint else client.Endpoint(served.url), request)
            return served, answer

    return asyncio.run(ask())


def trouble_at(url, timeout_seconds=20, **more):
    """What is told of a broker there."""

    async def ask():
        async with contextlib.aclosing(_Closing(timeout_seconds)) as http:
            return await http.send(client.Endpoint(url, **more), osb.CATALOG)

    return asyncio.run(ask())


def context_of(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """A server's, and the bundle that trusts it."""
    certificate, key = certificates.write(folder)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made, certificate.read_bytes()


class _Closing(client.Client):
    """One that contextlib.aclosing can end."""

    async def aclose(self):
        await self.close()


async def hang(_reader, _writer):
    await asyncio.Event().wait()


def test_request_is_as_the_specification_wants_it():
    """Version, identities, media type, body; the path's %2F stays one; the base's path goes before it."""
    served, answer = asked(wire.reply(b'{"a": 1}', "201 Created", Retry_After="7"), endpoint=lambda url: client.Endpoint(f"{url}/base/"))
    assert served.requests[0].startswith(b"PUT /base/v2/service_instances/a%2Fb?accepts_incomplete=true HTTP/1.1\r\n")
    assert json.loads(served.requests[0].split(b"\r\n\r\n")[1]) == {"plan_id": "ü"}
    headers = served.headers()
    assert headers["x-broker-api-version"] == "2.17"
    assert headers["x-broker-api-originating-identity"] == "kubernetes e30="
    assert headers["content-type"] == headers["accept"] == "application/json"
    assert uuid.UUID(headers["x-broker-api-request-identity"])
    assert "authorization" not in headers
    assert (answer.status, answer.body, answer.headers["retry-after"], answer.trouble) == (201, b'{"a": 1}', "7", None)


def test_request_without_a_body_has_no_media_type():
    """And each request has an identity of its own."""
    served, _ = asked(wire.reply(), request=osb.CATALOG, times=2)
    assert "content-type" not in served.headers()
    assert served.headers(0)["x-broker-api-request-identity"] != served.headers(1)["x-broker-api-request-identity"]


@pytest.mark.parametrize(
    ("endpoint", "header"),
    [
        (
            lambda url: client.Endpoint(url, client.Basic("me", "söme:thing")),
            f"Basic {base64.b64encode('me:söme:thing'.encode()).decode()}",
        ),
        (lambda url: client.Endpoint(url, client.Bearer("a.b-c")), "Bearer a.b-c"),
        (lambda url: client.Endpoint(url.replace("//", "//me:a%40b@")), f"Basic {base64.b64encode(b'me:a@b').decode()}"),
        (lambda url: client.Endpoint(url.replace("//", "//me:b@"), client.Bearer("t")), "Bearer t"),
    ],
    ids=["basic", "bearer", "of the address", "given goes first"],
)
def test_login_goes_with_the_request(endpoint, header):
    """A name and a password, a token, or those of the address."""
    served, _ = asked(wire.reply(), endpoint=endpoint)
    assert served.headers()["authorization"] == header


def test_connection_is_kept_for_the_next_request_and_another_login():
    """One connection; a rotated password needs no new one."""
    logins = iter([client.Basic("a", "1"), client.Basic("a", "2"), None])
    served, _ = asked(wire.reply(), endpoint=lambda url: client.Endpoint(url, next(logins)), times=3)
    assert served.connections == 1
    assert served.headers(0)["authorization"] != served.headers(1)["authorization"]


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_connection_that_was_closed_while_idle_is_no_trouble(is_reset):
    """Another is made; nothing was sent on the old one."""

    may_end = asyncio.Event()

    async def end(_reader, writer):
        await may_end.wait()
        if is_reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort() if is_reset else writer.close()

    async def ask():
        async with wire.serving(wire.reply(), then=end) as served, contextlib.aclosing(_Closing(5)) as http:
            first = await http.send(client.Endpoint(served.url), osb.CATALOG)
            assert await _is_open(http)
            may_end.set()
            while await _is_open(http):
                await asyncio.sleep(0.01)
            return served, first, await http.send(client.Endpoint(served.url), osb.CATALOG)

    served, first, second = asyncio.run(ask())
    assert (first.status, second.status, served.connections) == (200, 200, 2)


async def _is_open(http):
    """Whether the kept connection still lives, as its pool sees it."""
    (kept,) = http._connections._kept.values()
    (connection,) = kept.http._transport._pool.connections
    return not connection.has_expired()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2 tellnobody\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    ],
    ids=["nothing", "no HTTP", "cut in the head", "cut in the body", "cut in a chunk", "endless head"],
)
def test_answer_that_breaks_off_is_told_as_broken(answer):
    """The request may have been carried out."""
    served, told = asked(answer, is_kept=False)
    assert told == Answer(trouble=Trouble.BROKEN, error=f"{served.url}: the answer is cut off, or is no HTTP")


def test_reset_after_the_request_is_told_as_broken():
    """RST instead of an answer."""

    async def reset(_reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    served, told = asked(then=reset, is_kept=False)
    assert told == Answer(trouble=Trouble.BROKEN, error=f"{served.url}: the connection ended before the answer did")


def test_answer_that_does_not_come_in_time_is_a_timeout():
    """No byte of it."""
    served, told = asked(then=hang, timeout_seconds=1)
    assert told == Answer(trouble=Trouble.TIMEOUT, error=f"{served.url}: no answer within 1 s")


def test_answer_that_comes_drop_by_drop_is_a_timeout_all_the_same():
    """The time is that of the whole answer, not of a pause in it."""

    async def drip(_reader, writer):
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    _, told = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", then=drip, timeout_seconds=1)
    assert told.trouble is Trouble.TIMEOUT


@pytest.mark.parametrize(("host", "why"), [("127.0.0.1", "Connection refused"), ("nowhere.invalid", "the name is not known")])
def test_broker_that_is_not_there_is_unreachable(host, why):
    """Nothing was sent; the operating system's reason."""
    url = f"http://{host}:{ports.free()}"
    assert trouble_at(url) == Answer(trouble=Trouble.UNREACHABLE, error=f"{url}: {why}")


def test_connection_that_is_not_made_in_time_is_unreachable():
    """A server that accepts and does not say a word of TLS: not a timeout, since nobody has been asked anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert trouble_at(url, timeout_seconds=0.5) == Answer(trouble=Trouble.UNREACHABLE, error=f"{url}: no connection in time")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://broker", "spec.url must begin with https:// or http:// and a host"),
        ("broker:8080", "spec.url must begin with https:// or http:// and a host"),
        ("http://", "spec.url must begin with https:// or http:// and a host"),
        ("http://b?x=1", "spec.url must have no query and no fragment"),
        ("http://b:port", "spec.url is no address such as https://broker.example:8443"),
    ],
)
def test_address_that_is_none_is_told(url, why):
    """With the field and what it must be."""
    assert trouble_at(url) == Answer(trouble=Trouble.UNREACHABLE, error=why)


@pytest.mark.parametrize("identity", [".", ".."])
def test_id_that_would_be_another_address_is_not_sent(identity):
    """DELETE of the binding `..` would be a DELETE of its instance."""
    request = osb.request(Call.UNBIND, f"/v2/service_instances/i/service_bindings/{identity}")
    served, told = asked(wire.reply(), request=request)
    assert (served.requests, told.trouble) == ([], Trouble.UNREACHABLE)
    assert told.error == "an id that is . or .. cannot be a part of an address"


def test_body_without_end_is_cut_and_the_status_kept():
    """A 201 has a meaning also without what it says; memory has a bound."""

    async def flood(_reader, writer):
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    _, told = asked(b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999\r\n\r\n", then=flood)
    assert (told.status, told.body, told.error, told.trouble) == (201, b"", "the answer is longer than 16,777,216 bytes", None)


def test_compressed_body_is_read_and_a_broken_one_told():
    """Though none was asked for."""
    _, told = asked(wire.reply(gzip.compress(b'{"a": 1}'), Content_Encoding="gzip"))
    assert told.body == b'{"a": 1}'
    _, told = asked(wire.reply(b"no gzip", Content_Encoding="gzip"))
    assert (told.status, told.body, told.error) == (200, b"", "the answer cannot be decoded")


def test_redirection_is_an_answer():
    """It is not followed: the login is for this broker alone."""
    served, told = asked(wire.reply(status="302 Found", Location="/elsewhere"))
    assert (told.status, len(served.requests)) == (302, 1)


def test_cookies_are_not_kept():
    """No request depends on another's answer."""
    served, _ = asked(wire.reply(Set_Cookie="a=b; Path=/"), times=2)
    assert "cookie" not in served.headers(1)


@pytest.mark.parametrize("how", ["bundle", "skipped"])
def test_tls_with_the_bundle_or_without_a_look(tmp_path, how):
    """spec.caBundle, or insecureSkipTLSVerify."""
    context, bundle = context_of(tmp_path)
    trust = {"ca_bundle": bundle} if how == "bundle" else {"insecure_skip_tls_verify": True}
    served, told = asked(wire.reply(), context=context, endpoint=lambda url: client.Endpoint(url, **trust), times=2)
    assert (told.status, served.connections) == (200, 1)


def test_tls_that_is_not_trusted_is_unreachable(tmp_path):
    """By the system's authorities, or by another bundle; the request was not sent."""
    context, _ = context_of(tmp_path)
    other = certificates.write(tmp_path, "other")[0].read_bytes()
    for trust in ({}, {"ca_bundle": other}):
        served, told = asked(wire.reply(), context=context, endpoint=lambda url, trust=trust: client.Endpoint(url, **trust))
        assert (served.requests, told.trouble) == ([], Trouble.UNREACHABLE)
        assert told.error.startswith(f"{served.url}: its certificate is not trusted: ")


def test_tls_of_a_server_that_has_none_is_told():
    """https:// by mistake."""

    async def ask():
        async def refuse(reader, writer):
            await reader.read(1)
            writer.write(wire.reply(status="400 Bad Request"))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, contextlib.aclosing(_Closing(5)) as http:
            return url, await http.send(client.Endpoint(url), PROVISION)

    url, told = asyncio.run(ask())
    assert told == Answer(trouble=Trouble.UNREACHABLE, error=f"{url}: TLS failed: wrong version number")


@pytest.mark.parametrize("bundle", [b"none", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_bundle_that_is_none_is_told(bundle):
    """With the field."""
    told = trouble_at("https://127.0.0.1:1", ca_bundle=bundle)
    assert told == Answer(trouble=Trouble.UNREACHABLE, error="spec.caBundle holds no certificates in PEM form")


def test_connections_of_other_trust_are_others(tmp_path):
    """What was connected without a look is not used by one who wants a look."""
    context, bundle = context_of(tmp_path)
    trusts = iter([{"insecure_skip_tls_verify": True}, {"ca_bundle": bundle}, {}])
    served, told = asked(wire.reply(), context=context, endpoint=lambda url: client.Endpoint(url, **next(trusts)), times=3)
    assert told.trouble is Trouble.UNREACHABLE
    assert len(served.requests) == 2


def test_proxy_of_the_environment_is_used_except_for_the_named(monkeypatch):
    """HTTP_PROXY and NO_PROXY, as httpx reads them."""

    async def ask():
        async with wire.serving(wire.reply(b"by the proxy")) as proxy, wire.serving(wire.reply(b"at once")) as broker:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            async with contextlib.aclosing(_Closing(5)) as http:
                return proxy, [(await http.send(client.Endpoint(url), osb.CATALOG)).body for url in ("http://broker.invalid", broker.url)]

    proxy, found = asyncio.run(ask())
    assert found == [b"by the proxy", b"at once"]
    assert proxy.requests[0].startswith(b"GET http://broker.invalid/v2/catalog HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "why"),
    [(wire.reply(status="403 Forbidden"), "the proxy has made no connection"), (b"", "no connection")],
    ids=["refused", "broken off"],
)
def test_proxy_that_makes_no_connection_is_told_as_unreachable(monkeypatch, answer, why):
    """CONNECT is not the request, and has not the broker's login."""

    async def ask():
        async with wire.serving(answer, is_kept=False) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            async with contextlib.aclosing(_Closing(5)) as http:
                return proxy, await http.send(client.Endpoint("https://broker.invalid", client.Bearer(SECRET)), osb.CATALOG)

    proxy, told = asyncio.run(ask())
    assert told == Answer(trouble=Trouble.UNREACHABLE, error=f"https://broker.invalid: {why}")
    assert SECRET.encode() not in proxy.requests[0]


def test_proxy_that_cannot_be_used_is_told(monkeypatch):
    """Without its password."""
    monkeypatch.setenv("HTTP_PROXY", f"gopher://me:{SECRET}@proxy")
    told = trouble_at("http://broker.invalid")
    assert told == Answer(trouble=Trouble.UNREACHABLE, error="the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used")


@pytest.mark.parametrize("token", ["", f"{SECRET}\n", f"{SECRET} x", f"{SECRET}ü"])
def test_token_that_no_header_can_hold_is_told_without_it(token):
    """A line break at its end is the usual mistake with Secrets."""
    told = trouble_at("http://127.0.0.1:1", auth=client.Bearer(token))
    assert told.trouble is Trouble.UNREACHABLE
    assert told.error == "the token of the broker's Secret is empty, or has a line break or another character that no header can hold"


@pytest.mark.parametrize(
    "endpoint",
    [
        lambda url: client.Endpoint(url, client.Basic("me", SECRET)),
        lambda url: client.Endpoint(url, client.Bearer(SECRET)),
        lambda url: client.Endpoint(url.replace("//", f"//me:{SECRET}@")),
    ],
    ids=["basic", "bearer", "address"],
)
@pytest.mark.parametrize("answer", [wire.reply(status="401 Unauthorized"), b"garbage"], ids=["refused", "garbage"])
def test_login_is_in_no_log_and_no_error(endpoint, answer, caplog):
    """Neither in ours nor in those of the libraries, with everything logged."""
    caplog.set_level(0)
    with structlog.testing.capture_logs() as ours:
        served, told = asked(answer, endpoint=endpoint, is_kept=False)
    shown = f"{ours}{caplog.text}{told.error}{endpoint(served.url)!r}{endpoint(served.url).auth!r}"
    assert caplog.text
    assert SECRET not in shown
    assert base64.b64encode(f"me:{SECRET}".encode()).decode() not in shown
    (line,) = ours
    assert (line["log_level"], line["broker"], line["call"]) == ("warning", served.url, "provision")
    assert served.headers()["x-broker-api-request-identity"] == line["request_identity"]


def test_connections_that_nobody_uses_are_given_up():
    """After a while; and those in use are not."""

    async def use():
        async with wire.serving(wire.reply()) as served:
            kept = connections.Connections(kept_seconds=0.05)
            broker = client.Endpoint(served.url)
            async with kept.to(broker) as outer:
                async with kept.to(broker) as inner:
                    assert inner is outer
                await asyncio.sleep(0.1)
                assert len(kept) == 1
                await outer.get(served.url)
            while len(kept):
                await asyncio.sleep(0.01)
            await kept.close()
            assert outer.is_closed

    asyncio.run(use())


def test_close_ends_what_is_under_way():
    """As broken: it may have been carried out."""

    async def use():
        async with wire.serving(then=hang) as served:
            http = client.Client(5)
            under_way = asyncio.create_task(http.send(client.Endpoint(served.url), PROVISION))
            while not served.requests:
                await asyncio.sleep(0.01)
            await http.close()
            return await under_way

    assert asyncio.run(use()).trouble is Trouble.BROKEN


def test_who_asks_can_be_cancelled():
    """And nothing is left open (warnings are errors)."""

    async def use():
        async with wire.serving(then=hang) as served:
            http = client.Client(5)
            under_way = asyncio.create_task(http.send(client.Endpoint(served.url), PROVISION))
            while not served.requests:
                await asyncio.sleep(0.01)
            under_way.cancel()
            with pytest.raises(asyncio.CancelledError):
                await under_way
            await http.close()

    asyncio.run(use())
