"""marketplace."""

import json

import pytest

from apb_cli.commands.marketplace import limits


def test_marketplace_lists_services_and_plans(apb):
    """One line a plan."""
    assert apb("marketplace").stdout.splitlines()[1].split(maxsplit=2) == ["redis", "redis-standard", "Key-value store"]


def test_marketplace_shows_what_a_service_takes(apb):
    """Unit, default, limits, and what is secret or updatable; parameters of a binding too."""
    shown = " ".join(apb("marketplace", "redis").stdout.split())
    assert "memory number GB 1 0.1 to 4, step 0.1 updatable Memory for data" in shown
    assert "password string - - 8 to 128 characters secret Password of the default user" in shown
    assert "access string - readwrite readwrite or read" in shown


def test_marketplace_gives_programs_the_schemas(apb):
    """The parameter schemas as the broker publishes them."""
    document = json.loads(apb("marketplace", "redis", "-o", "json").stdout)
    memory = document["plans"][0]["schemas"]["service_instance"]["create"]["parameters"]["properties"]["memory"]
    assert memory["maximum"] == 4


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"minimum": 0, "multipleOf": 5}, "from 0, step 5"),
        ({"maximum": 3, "x-unlimited": True}, "up to 3, -1 is unlimited"),
        ({"type": "string"}, ""),
    ],
)
def test_limits_are_told_in_few_words(schema, text):
    """What the schema does not limit is not mentioned."""
    assert limits(schema) == text
