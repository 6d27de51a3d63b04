"""Known secrets out of texts that people read; where texts come from and go to is left to the caller."""

import json
import re
import shlex
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "********"
SHORTEST = 4  # masking shorter values would make every text unreadable and tell where they stand
LONGEST_TEXT = 200_000

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Masker:
    """Replaces each known secret, also as repr, JSON, shell and percent-encoding write it, and the longer lines of multi-line ones."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """The text without terminal codes and without secrets; overlapping ones vanish as a whole."""
        text = _CONTROL.sub("", _ANSI.sub("", text[:LONGEST_TEXT]))
        parts, end = [], 0
        for start, stop in self._spans(text):
            parts += [text[end:start], MASK]
            end = stop
        return "".join([*parts, text[end:]])

    def _spans(self, text: str) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(span for form in self._forms for span in _occurrences(form, text)):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return merged


def _occurrences(form: str, text: str) -> Iterable[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _forms(secret: str) -> set[str]:
    lines = [line.strip() for line in secret.splitlines() if len(line.strip()) >= 2 * SHORTEST]
    forms = {form for piece in (secret, *lines) for form in _spellings(piece)}
    return {form for form in forms if len(form) >= SHORTEST}


def _spellings(secret: str) -> set[str]:
    written = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], shlex.quote(secret)}
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return written | {_CONTROL.sub("", form) for form in written} | encoded | {_lower_escapes(form) for form in encoded}


def _lower_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def shorten(text: str, limit: int = 2000) -> str:
    """At most `limit` characters. Mask first: a secret cut in two is not found any more."""
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 2].rstrip() + " …"
