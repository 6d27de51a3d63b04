"""What the PostgreSQL modules work out without a server."""

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import postgresql_connection, postgresql_init, postgresql_password

SQL = """\
CREATE TABLE orders (note text);
INSERT INTO orders VALUES ('hunter-2 is the pass''word'), (E'zz');
DO $body$ BEGIN PERFORM 'inner-secret'; END $body$;"""


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('relation "orders" already exists', 'relation "orders" already exists'),
        ('invalid input syntax for type integer: "hunter-2"', 'invalid input syntax for type integer: "…"'),
        ("ungültige Eingabesyntax: »hunter-2«", "ungültige Eingabesyntax: »…«"),
        ('syntax error at or near "inner-secret"', 'syntax error at or near "…"'),
        ("hunter-2 is not a note", "… is not a note"),
        ("division by zero", "division by zero"),
    ],
)
def test_message_shows_names_and_no_values(message, shown):
    """What PostgreSQL quotes is shown if it stands in the SQL outside of strings."""
    assert postgresql_init.redacted(message, SQL) == shown


def test_verifier_is_recognized():
    """RFC 7677's example: user "user", password "pencil", server's rounds and salt."""
    keys = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    stored = f"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${keys}"
    assert postgresql_password.matches(stored, "pencil")
    assert not postgresql_password.matches(stored, "pen")


@pytest.mark.parametrize("stored", [None, "", "md5bb0d7f1ab1ae5b6f1a6ca2ed2d3f0a0b", "pencil"])
def test_anything_but_a_verifier_is_another_password(stored):
    """Then a new one is set."""
    assert not postgresql_password.matches(stored, "pencil")


def test_names_and_values_are_quoted():
    """Whatever a name or a value is made of."""
    made = postgresql_connection.statement("ALTER ROLE {} PASSWORD {password}", 'a"b', password="it's")
    assert made.as_string(None) == """ALTER ROLE "a""b" PASSWORD 'it''s'"""


def test_result_tells_what_was_different():
    """In words, for people and for --diff."""
    assert postgresql_connection.told([]) == {"changed": False, "msg": "", "diff": {"prepared": ""}}
    assert postgresql_connection.told(["a", "b"])["msg"] == "a; b"
