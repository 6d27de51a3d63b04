"""TLS of `apb serve`: version 1.2 or newer, no client that only begins to speak, and certificates renewed without a restart."""

import socket
import ssl
from pathlib import Path
from typing import Any

import structlog

from apb_broker.catalog import certificates
from apb_broker.catalog.config import Tls
from apb_broker.catalog.errors import ConfigError

SILENCE_SECONDS = 10

log = structlog.get_logger("apb.https")


class _Context(ssl.SSLContext):
    """Its connections end when their client falls silent; gunicorn would let each hold a thread for ever."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """The connection, before its handshake."""
        sock.settimeout(SILENCE_SECONDS)
        return super().wrap_socket(sock, *args, **kwargs)


class Https:
    """What gunicorn asks for a context at each connection. Raises ConfigError when it is made with files that cannot be used."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = self._stamps()
        self._context = _made(tls)

    def context(self, _config: Any = None, _default: Any = None) -> ssl.SSLContext:
        """The context of the files as they are; of the former ones while the new ones do not fit each other."""
        now = self._stamps()
        if now != self._seen:
            self._seen = now
            try:
                self._context = _made(self._tls)
                log.info("certificate renewed", certificate_file=str(self._tls.certificate_file))
            except ConfigError as error:
                log.warning("certificate not renewed", error=str(error))
        return self._context

    def _stamps(self) -> list[tuple[int, int] | None]:
        return [_stamp(file) for file in (self._tls.certificate_file, self._tls.key_file)]


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _made(tls: Tls) -> ssl.SSLContext:
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificates.load(tls, context)
    return context
