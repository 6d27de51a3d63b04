"""What objects are called: a catalog's ids as Kubernetes names, the labels that they are found by, the finalizer."""

import hashlib
from collections.abc import Mapping

FINALIZER = "kubernetes-incubator/service-catalog"
LONGEST = 63
KEPT_OF_LONG = 30
PREFIX = "servicecatalog.k8s.io/"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxy0123456789")  # without z, which begins an escape


def escaped(external_id: str) -> str:
    """The Kubernetes name of what a catalog calls so: `zookeeper` is `z7azookeeper`. Upstream's `GenerateEscapedName`, to the letter.

    At most 63 characters; longer ones end with the MD5 of the id, which tells them apart and secures nothing.
    """
    name = "".join(_letter(external_id, position) for position in range(len(external_id)))
    if len(name) <= LONGEST:
        return name
    digest = hashlib.md5(external_id.encode(), usedforsecurity=False).hexdigest()
    return f"{name[:KEPT_OF_LONG].removesuffix('.')}-{digest}"


def _letter(text: str, position: int) -> str:
    letter = text[position]
    inside = 0 < position < len(text) - 1
    before = text[position - 1] if position else ""
    if letter in _PLAIN or (inside and ((letter == "." and before not in ".-") or (letter == "-" and before != "."))):
        return letter
    return f"z{ord(letter):x}z"


def labels(fields: Mapping[str, str | None]) -> dict[str, str]:
    """The labels by which objects are found: path of a field -> its value, hashed because labels are short and of few letters."""
    return {PREFIX + path: hashed(value) for path, value in fields.items() if value}


def hashed(value: str) -> str:
    """A label's value: SHA-224 in hex."""
    return hashlib.sha224(value.encode()).hexdigest()
