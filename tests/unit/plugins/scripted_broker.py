"""A broker that answers as a test says, and remembers what it was asked: for what a well-behaved one never does."""

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOST = object()  # instead of an answer: the connection ends


@dataclass
class Asked:
    """One request; its headers by their names in small letters."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


@dataclass
class Script:
    """Answers by method and path: each list is answered from its beginning, its last answer for ever. What is not in it is 404."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def say(self, request: str, *answers: Any) -> None:
        """Such as say("GET /v2/catalog", (200, {...}), (503, {}, {"Retry-After": "3"}))."""
        self.answers[request] = list(answers)

    def next_answer(self, request: str) -> Any:
        left = self.answers.get(request, [(404, {})])
        return left.pop(0) if len(left) > 1 else left[0]

    def sent(self, *methods: str) -> list[str]:
        """Methods and paths of what was asked, of these methods or of all."""
        return [f"{each.method} {each.path}" for each in self.asked if not methods or each.method in methods]

    def body(self, method: str) -> Any:
        """What the one request of this method carried."""
        (found,) = [each.body for each in self.asked if each.method == method]
        return found


@contextlib.contextmanager
def running(certificate: tuple[Path, Path] | None = None) -> Iterator[Script]:
    """One that listens; with a certificate and its key it speaks TLS."""
    script = Script()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path, _, query = self.path.partition("?")
            script.asked.append(Asked(self.command, path, query, {name.lower(): value for name, value in self.headers.items()}, body))
            answer = script.next_answer(f"{self.command} {path}")
            if answer is LOST:
                self.close_connection = True
                return
            status, content, *headers = answer
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, *_words: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    script.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
