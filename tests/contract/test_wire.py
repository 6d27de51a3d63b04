"""What goes over the wire when a real server listens: requests that are no HTTP, bodies without a length, ids as they were encoded."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CONFIG
from tests.contract.conftest import HEADERS

CODE = "import pathlib, sys; from apb_broker import server; server.serve(pathlib.Path(sys.argv[1]))"
HEAD = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", **HEADERS, "Connection": "close"}.items()).encode()
PUT = b"PUT /v2/service_instances/i1?accepts_incomplete=true HTTP/1.1\r\n" + HEAD
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, database_url: str, key_file: Path) -> Iterator[int]:
    """The port of an `apb serve` on the suite's database."""
    state = tmp_path_factory.mktemp("state")
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    (state / "apb.yml").write_text(CONFIG.format(directory=state).replace("127.0.0.1:0", f"127.0.0.1:{number}"))
    (state / "admin.password").touch(mode=0o600)
    (state / "admin.password").write_text("secret of the operator")
    shutil.copy(key_file, state / "keys")
    environment = {**os.environ, "DATABASE_URL": database_url}
    with (
        (state / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-c", CODE, str(state)], env=environment, stderr=log) as server,
    ):
        _await(number, server)
        yield number
        server.terminate()
    assert b"secret of the operator" not in (state / "log").read_bytes()


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError):
            if ask(port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


def ask(port: int, request: bytes) -> tuple[int, str, dict[str, object]]:
    """Status, content type and body of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(OSError):  # the answer may come before all of it was sent
            connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    types = [line.partition(": ")[2] for line in lines if line.lower().startswith("content-type:")]
    return int(lines[0].split()[1]), types[0], json.loads(body)


MALFORMED = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "no version": (b"GET /v2/catalog\r\n\r\n", 400),
    "another version": (b"GET /v2/catalog HTTP/9.9\r\n" + HEAD + b"\r\n", 400),
    "method": (b"GE(T /v2/catalog HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
    "target": (b"GET http://[ HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
    "target of another kind": (b"GET * HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
    "target that is no text": (b"GET /v2/%ff%fe HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
    "target that is too long": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 414),
    "header": (b"GET /v2/catalog HTTP/1.1\r\n" + HEAD + b"no header\r\n\r\n", 400),
    "header that is too long": (b"GET /v2/catalog HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431),
    "length": (PUT + b"Content-Length: -1\r\n\r\n", 400),
    "coding": (PUT + b"Transfer-Encoding: magic\r\n\r\n", 400),
    "chunk": (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400),
    "chunk without an end": (CHUNKED + b"2\r\n{}xx0\r\n\r\n", 400),
    "body": (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", 400),
    "body that is too long": (CHUNKED + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 17 + b"0\r\n\r\n", 413),
}


@pytest.mark.parametrize(("request_bytes", "status"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_request_is_a_json_answer(port: int, request_bytes: bytes, status: int) -> None:
    """Service Broker Errors: never a 5xx, never HTML, and the next request is served."""
    found, content_type, body = ask(port, request_bytes)
    assert (found, content_type, list(body)) == (status, "application/json", ["description"])
    assert ask(port, b"GET /v2/catalog HTTP/1.1\r\n" + HEAD + b"\r\n")[0] == 200


@pytest.mark.parametrize("encoded", ["a%2Fb", "a%252Fb", "..%2f..", "%E7%BC%93"])
def test_id_arrives_as_it_was_encoded(port: int, encoded: str) -> None:
    """URL Properties: a server must not decode, fold or shorten a path before the ids are taken from it."""
    operation = f"GET /v2/service_instances/{encoded}/last_operation HTTP/1.1\r\n".encode() + HEAD + b"\r\n"
    fetched = f"GET /v2/service_instances/{encoded} HTTP/1.1\r\n".encode() + HEAD + b"\r\n"
    names = {"a%2Fb": "a/b", "a%252Fb": "a%2Fb", "..%2f..": "../..", "%E7%BC%93": "缓"}
    assert ask(port, operation)[0] == 404
    assert ask(port, fetched)[2] == {"description": f"instance {names[encoded]} does not exist"}


def test_id_of_the_longest_kind_fits_into_a_request(port: int) -> None:
    """URL Properties: whatever its characters are, twice in a path, with a query behind it."""
    longest = "%E7%BC%93" * 266 + "xx"
    query = "service_id=e613f7f5-a211-4a59-b5ac-c67788a997b8&plan_id=62458eb8-2798-4833-a4a9-7d7515e9d5b5&accepts_incomplete=true"
    line = f"DELETE /v2/service_instances/{longest}/service_bindings/{longest}?{query} HTTP/1.1\r\n"
    assert ask(port, line.encode() + HEAD + b"\r\n")[0] == 410


def test_catalog_is_not_sent_again_over_the_wire(port: int) -> None:
    """Catalog Management: 304 has no body."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /v2/catalog HTTP/1.1\r\n" + HEAD + b"If-None-Match: *\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 304 ")
    assert answer.endswith(b"\r\n\r\n")
