"""SQL of a tenant that is run once in its database, by one of its own accounts.

Its checksum is written in the same transaction, first: of two runs at a time the second waits for the first. The SQL goes through EXECUTE,
where PostgreSQL refuses COMMIT and its like, which would end the transaction in the middle. A run whose client was killed ends by itself,
at the latest with its statement.
"""

from __future__ import annotations

import hashlib
import re

from ansible_collections.apb.catalog.plugins.module_utils import postgresql_connection
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import PostgresqlError, one

SPEC = dict(**postgresql_connection.SPEC, sql=dict(type="str", required=True, no_log=True))
# An account's own settings hold: it is the account's SQL.
OPTIONS = "-c client_connection_check_interval=1s -c client_min_messages=error"
RUN = "DO LANGUAGE plpgsql 'BEGIN EXECUTE pg_catalog.current_setting(''apb.init''); END'"
RAISED = "P0001"
HIDDEN = "…"
_LITERAL = re.compile(r"'(?:[^']|'')*'|\$([A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$.*?\$\1\$", re.DOTALL)
_QUOTED = re.compile('(["«»„\u201c\u201d])([^"«»„\u201c\u201d]*)(["«»„\u201c\u201d])')
_WORD = re.compile(r"[^\s\"«»„\u201c\u201d]{4,}")


def work(params: dict, check_mode: bool) -> dict:
    """Whether it was run now: changed, sha256. Raises PostgresqlError."""
    digest = hashlib.sha256(params["sql"].encode()).hexdigest()
    with postgresql_connection.connect(params, options=OPTIONS) as connection:
        if one(connection, "SELECT EXISTS (SELECT FROM apb.inits WHERE sha256 = %s)", digest):
            return {"changed": False, "sha256": digest}
        if check_mode:
            return {"changed": True, "sha256": digest}
        return {"changed": _run(connection, params["sql"], digest), "sha256": digest}


def _run(connection, text: str, digest: str) -> bool:
    try:
        with connection.transaction():
            noted = connection.execute("INSERT INTO apb.inits (sha256) VALUES (%s) ON CONFLICT DO NOTHING", (digest,))
            if noted.rowcount == 0:
                return False
            connection.execute("SELECT pg_catalog.set_config('apb.init', %s, true)", (text,))
            connection.execute(RUN)
        return True
    except postgresql_connection.ClientError as error:
        raise PostgresqlError(f"init was not run: {explained(error.diag, text)}") from None


def explained(diag, text: str) -> str:
    """PostgreSQL's message with where it happened, and without what it may quote of the SQL's values."""
    place = f" (line {_line(text, diag.internal_position)})" if diag.internal_position else ""
    if diag.message_primary is None:
        return "the connection broke"
    message = "the SQL raised an exception of its own" if diag.sqlstate == RAISED else redacted(diag.message_primary, text)
    return f"{message}{place} [{diag.sqlstate}]"


def _line(text: str, position: str) -> int:
    return text.count("\n", 0, int(position) - 1) + 1


def redacted(message: str, text: str) -> str:
    """The message, with names of the SQL and without values: what is quoted has to stand in the SQL outside of strings to be shown."""
    literals = "\n".join(found.group(0) for found in _LITERAL.finditer(text))
    names = _LITERAL.sub(" ", text)
    shown = _QUOTED.sub(lambda found: found[0] if _stands_in(found[2], names) else f"{found[1]}{HIDDEN}{found[3]}", message)
    return _WORD.sub(lambda found: found[0] if found[0] not in literals or _stands_in(found[0], names) else HIDDEN, shown)


def _stands_in(word: str, names: str) -> bool:
    return word == HIDDEN or re.search(rf"(?<!\w){re.escape(word)}(?!\w)", names, re.IGNORECASE) is not None
