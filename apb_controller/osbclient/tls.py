"""Whom a connection trusts."""

import ssl

from apb_controller.osbclient import endpoint


def context(ca_bundle: bytes | None, *, insecure_skip_tls_verify: bool) -> ssl.SSLContext:
    """For a broker's connections: the bundle's authorities alone, or the system's (SSL_CERT_FILE and SSL_CERT_DIR name others).

    Raises endpoint.Unusable when the bundle holds no certificate.
    """
    if insecure_skip_tls_verify:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    try:
        return ssl.create_default_context(cadata=ca_bundle.decode("ascii") if ca_bundle else None)
    except (ValueError, ssl.SSLError):
        raise endpoint.Unusable("spec.caBundle holds no certificates in PEM form") from None
