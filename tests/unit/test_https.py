"""The TLS context of `apb serve`, and certificates that are renewed under it."""

import os
import socket
import ssl

import pytest
from structlog.testing import capture_logs

from apb_broker import https
from apb_broker.catalog.config import Tls
from apb_broker.catalog.errors import ConfigError
from apb_broker.https import Https
from tests.certificates import write


@pytest.fixture
def tls(tmp_path):
    """A certificate and its key."""
    certificate_file, key_file = write(tmp_path)
    return Tls(certificate_file=certificate_file, key_file=key_file)


def replaced(file, text, seconds):
    """The file with another text and time."""
    file.write_bytes(text)
    os.utime(file, ns=(seconds * 10**9, seconds * 10**9))


def test_context_speaks_new_versions_only(tls):
    """TLS 1.2 and up; the same context as long as the files are the same, so that sessions can be resumed."""
    server = Https(tls)
    assert server.context().minimum_version == ssl.TLSVersion.TLSv1_2
    assert server.context() is server.context()


def test_unusable_files_are_told_before_the_start(tls):
    """As a mistake in the configuration."""
    tls.key_file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Https(tls)


def test_renewed_certificate_is_taken_up(tls, tmp_path):
    """Once both files fit each other; until then, and when one is gone, the former context goes on."""
    server = Https(tls)
    first = server.context()
    (tmp_path / "new").mkdir()
    certificate_file, key_file = write(tmp_path / "new")
    with capture_logs() as logged:
        replaced(tls.certificate_file, certificate_file.read_bytes(), 1000)
        assert server.context() is first
        assert server.context() is first
        replaced(tls.key_file, key_file.read_bytes(), 1000)
        second = server.context()
        assert second is not first
        assert server.context() is second
        tls.key_file.unlink()
        assert server.context() is second
    assert [line["event"] for line in logged] == ["certificate not renewed", "certificate renewed", "certificate not renewed"]


def test_client_that_falls_silent_is_let_go(tls, monkeypatch):
    """A handshake that is begun and not gone on with ends; gunicorn alone would wait with one of its threads for ever."""
    monkeypatch.setattr(https, "SILENCE_SECONDS", 0.2)
    ours, theirs = socket.socketpair()
    with theirs, ours:
        theirs.sendall(b"\x16")
        ours.setblocking(True)  # as gunicorn does before it asks for TLS
        wrapped = Https(tls).context().wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
        with wrapped, pytest.raises(TimeoutError):
            wrapped.do_handshake()
