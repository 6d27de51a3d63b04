"""Looking for secrets: the ways in which one may be written, and the places in which texts are gathered while a broker works."""

import base64
import json
import re
import shlex
from collections.abc import Mapping
from urllib.parse import quote, quote_plus


def forms(secret: str) -> set[bytes]:
    """The secret in clear, escaped as JSON, Python, SQL, shells and URLs do it, in hexadecimal digits and in base64.

    In base64 a secret in the midst of something else has one of three spellings, of which the ends depend on its neighbours.
    """
    raw = secret.encode()
    escaped = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.replace("'", "''"), secret.replace("\\", "\\\\")}
    escaped |= {json.dumps(json.dumps(secret)[1:-1])[1:-1], secret.replace("/", "\\/"), shlex.quote(secret).strip("'")}
    escaped |= {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    escaped |= {re.sub("%..", lambda found: found[0].lower(), text) for text in (quote(secret), quote(secret, safe=""))}
    shifted = [base64.b64encode(b"\0" * shift + raw)[(0, 2, 3)[shift] : (len(raw) + shift) // 3 * 4] for shift in range(3)]
    encoded = {raw.hex().encode(), raw.hex().upper().encode(), *shifted, *(text.translate(_URL_SAFE) for text in shifted)}
    return {text.encode() for text in escaped} | encoded


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Search:
    """For many secrets at once, by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: forms(secret) for name, secret in secrets.items()}

    def names_in(self, text: bytes) -> set[str]:
        """Of the secrets that are somewhere in it."""
        return {name for name, spellings in self._forms.items() if any(form in text for form in spellings)}


class Gathered:
    """Texts by the place in which they were found. Kept until all secrets are known: some are made while we look."""

    def __init__(self) -> None:
        self._texts: dict[str, set[bytes]] = {}

    def add(self, place: str, *texts: str | bytes) -> None:
        """Keeps them."""
        self._texts.setdefault(place, set()).update(text.encode() if isinstance(text, str) else text for text in texts)

    def where(self, secrets: Mapping[str, str]) -> dict[str, set[str]]:
        """The places of each secret."""
        search = Search(secrets)
        found = {place: search.names_in(b"\n".join(texts)) for place, texts in self._texts.items()}
        return {name: {place for place, names in found.items() if name in names} for name in secrets}
