"""Looking for secrets: the ways in which one may be written, and the places in which texts are gathered while a broker works."""

import base64
import json
import re
import shlex
from collections.abc import Iterable, Mapping
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
        self._names = {form: name for name, secret in secrets.items() for form in forms(secret)}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(form) for form in longest_first))

    def names_in(self, text: bytes) -> set[str]:
        """Of the secrets that are somewhere in it."""
        return {self._names[found] for found in set(self._pattern.findall(text))}


class Gathered:
    """Texts by the place in which they were found. Kept until all secrets are known: some are made while we look."""

    def __init__(self) -> None:
        self._texts: dict[str, set[bytes]] = {}

    def add(self, place: str, *texts: str | bytes) -> None:
        """Keeps them."""
        self._texts.setdefault(place, set()).update(text.encode() if isinstance(text, str) else text for text in texts)

    def places(self) -> set[str]:
        """All places with at least one text."""
        return {place for place, texts in self._texts.items() if any(texts)}

    def where(self, secrets: Mapping[str, str]) -> dict[str, set[str]]:
        """The places of each secret."""
        search, found = Search(secrets), {name: set() for name in secrets}
        for place, texts in self._texts.items():
            for name in self._names(search, texts):
                found[name].add(place)
        return found

    @staticmethod
    def _names(search: Search, texts: Iterable[bytes]) -> set[str]:
        return {name for text in texts for name in search.names_in(text)}
