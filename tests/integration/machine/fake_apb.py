"""Stands in for `apb serve` and `apb worker`: `python fake_apb.py serve|worker STATE-DIRECTORY`.

Files in the state directory change what it does: `NAME.stubborn` ignores SIGTERM, `NAME.broken` ends at once.
"""

import http.server
import pathlib
import signal
import ssl
import sys
import threading

import yaml


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers everything."""

    def do_GET(self):
        """OK."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments):
        """Nothing."""


name, state = sys.argv[1], pathlib.Path(sys.argv[2])
if (state / f"{name}.broken").exists():
    sys.exit(f"{name} is broken on purpose")
stop = threading.Event()
signal.signal(signal.SIGTERM, signal.SIG_IGN if (state / f"{name}.stubborn").exists() else lambda *_: stop.set())
print(f"{name} started", flush=True)
if name == "serve":
    configuration = yaml.safe_load((state / "apb.yml").read_text())
    host, _, port = configuration["listen"].partition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    if tls := configuration.get("tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(state / tls["certificate_file"], state / tls["key_file"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
stop.wait()
print(f"{name} stopped", flush=True)
