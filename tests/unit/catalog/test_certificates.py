"""Certificate and key of the server: usable, or refused with a sentence."""

import ssl

import pytest

from apb_broker.catalog import certificates
from apb_broker.catalog.config import Tls
from apb_broker.catalog.errors import ConfigError
from tests.certificates import write


@pytest.fixture
def tls(tmp_path):
    """A certificate and its key."""
    certificate_file, key_file = write(tmp_path)
    return Tls(certificate_file=certificate_file, key_file=key_file)


def load(tls):
    certificates.load(tls, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_certificate_and_key_are_loaded(tls):
    """Nothing is said."""
    load(tls)


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_key_open_to_others_is_refused(tls, mode):
    """As a password is."""
    tls.key_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o} lets others read a key: chmod 600 {tls.key_file}"):
        load(tls)


@pytest.mark.parametrize("kind", ["certificate", "key"])
def test_missing_file_is_named(tls, kind):
    """With what it should have been."""
    file = getattr(tls, f"{kind}_file")
    file.unlink()
    with pytest.raises(ConfigError, match=f"{file}: the {kind} of tls cannot be read: No such file"):
        load(tls)


def test_key_of_another_certificate_is_refused(tls, tmp_path):
    """Both files are named."""
    _, other = write(tmp_path, "other")
    with pytest.raises(ConfigError, match=r"other\.key: the key of tls does not belong to the certificate in .*server\.crt"):
        load(tls.model_copy(update={"key_file": other}))


def test_key_with_a_passphrase_is_refused(tls, tmp_path):
    """Rather than asked for on a terminal nobody looks at."""
    write(tmp_path, passphrase=b"hush-hush")
    with pytest.raises(ConfigError, match=r"server\.key: the key of tls has a passphrase"):
        load(tls)


@pytest.mark.parametrize("kind", ["certificate", "key"])
def test_file_that_is_no_pem_is_refused(tls, kind):
    """What is expected is said, what the file holds is not."""
    getattr(tls, f"{kind}_file").write_text("hush-hush")
    with pytest.raises(ConfigError, match="cannot be used: expected PEM") as caught:
        load(tls)
    assert "hush" not in str(caught.value)
