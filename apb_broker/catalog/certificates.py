"""The server's certificate and key, as files of the operator's: usable, or refused with a sentence. Speaking TLS is left to `https`."""

import ssl

from apb_broker.catalog import secret_files
from apb_broker.catalog.config import Tls
from apb_broker.catalog.errors import ConfigError


class _HasPassphrase(Exception):
    """Nobody is there to type it."""


def load(tls: Tls, context: ssl.SSLContext) -> None:
    """Gives them to a context. Raises ConfigError."""
    for file, kind in ((tls.certificate_file, "certificate"), (tls.key_file, "key")):
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError(file, [f"the {kind} of tls cannot be read: {error.strerror}"]) from error
    secret_files.require_private(tls.key_file, "key")
    try:
        context.load_cert_chain(tls.certificate_file, tls.key_file, password=_refuse)
    except _HasPassphrase:
        raise ConfigError(tls.key_file, ["the key of tls has a passphrase: expected one without, in a file of mode 0600"]) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(tls.key_file, [f"the key of tls does not belong to the certificate in {tls.certificate_file}"]) from error
        wrong = f"expected PEM with the server's certificate first, and in {tls.key_file} its private key"
        raise ConfigError(tls.certificate_file, [f"the certificate or key of tls cannot be used: {wrong} ({error.reason})"]) from error


def _refuse() -> str:
    raise _HasPassphrase
