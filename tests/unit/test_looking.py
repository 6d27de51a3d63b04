"""The search of the canary tests finds a secret however it is written."""

import base64
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest

from tests.secrets import looking

SECRET = "s3cr3t /+\"'\\%-of-somebody"
WAYS = {
    "clear": lambda text: text,
    "json": json.dumps,
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "python": repr,
    "sql": lambda text: "'" + text.replace("'", "''") + "'",
    "shell": shlex.quote,
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "lower url": lambda text: quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%5C", "%5c"),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "url-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 of a login": lambda text: base64.b64encode(f"a:{text}".encode()).decode(),
    "base64 of more": lambda text: base64.b64encode(f"a{text}and more".encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_secret_is_found_however_it_is_written(way: str) -> None:
    """In the midst of other things."""
    search = looking.Search({"it": SECRET, "another": "something-else-9d41"})
    assert search.names_in(f"before {WAYS[way](SECRET)} behind".encode()) == {"it"}
    assert search.names_in(f"before {WAYS[way](SECRET[:-3])} behind".encode()) == set()


def test_secrets_are_told_by_place() -> None:
    """Texts are kept until the secrets are known."""
    gathered = looking.Gathered()
    gathered.add("here", "nothing", f"with {SECRET}")
    gathered.add("there", b"\xff nothing")
    assert gathered.where({"it": SECRET, "another": "zzz-none"}) == {"it": {"here"}, "another": set()}
