"""Ids: of any character, percent-encoded where they have to be (OSB 2.17, "URL Properties")."""

import re
from urllib.parse import quote

import pytest

from tests import scenarios
from tests.contract.conftest import Platform

IDS = {
    "unreserved": "aZ09-._~",
    "slash": "team/cache",
    "double slash": "//",
    "percent": "100%",
    "encoded slash": "team%2Fcache",
    "dots": "..",
    "dot": ".",
    "space": " a b ",
    "query": "a?b=c&d#e",
    "plus": "a+b",
    "quotes": "\"'`;--",
    "template": "{{ 7 * 7 }}",
    "unicode": "缓存-ü-🦫",
    "colon": "a:b",
    "long": "x" * 800,
}


@pytest.mark.parametrize("value", IDS.values(), ids=IDS)
def test_id_of_any_character_lives_a_whole_life(platform: Platform, value: str) -> None:
    """URL Properties: no restriction on the characters of ids; each route finds what another one made."""
    encoded = quote(value, safe="")
    operation = platform.put(encoded).json["operation"]
    scenarios.run(platform.broker)
    assert platform.poll(encoded, operation=operation).json["state"] == "succeeded"
    assert platform.fetch(encoded).status_code == 200
    platform.bound(encoded, encoded)
    assert platform.poll(encoded, encoded).json["state"] == "succeeded"
    assert platform.fetch(encoded, encoded).json["credentials"] == scenarios.CREDENTIALS
    assert platform.patch(encoded, parameters={"memory": 2}).status_code == 202
    assert scenarios.run(platform.broker).instance_id == value
    assert platform.unbind(encoded, encoded).status_code == 202
    assert scenarios.run(platform.broker).binding_id == value
    assert platform.delete(encoded).status_code == 202
    scenarios.run(platform.broker)
    assert platform.delete(encoded).status_code == 410


def test_ids_that_look_alike_are_different(platform: Platform) -> None:
    """URL Properties: an encoded slash, and one that was encoded twice, are two ids; letters are not folded."""
    for encoded in ("a%2Fb", "a%252Fb", "A%2Fb", "a%2fb%20"):
        assert platform.put(encoded).status_code == 202, encoded
    assert platform.put("a%2fb").status_code == 202
    with platform.broker.database.unit() as unit:
        assert {row.id for row in unit.instances()} == {"a/b", "a%2Fb", "A/b", "a/b "}


def test_id_becomes_no_path_and_no_word_of_a_shell(platform: Platform) -> None:
    """URL Properties: on machines an instance is called by a hash of its id."""
    platform.put(quote("../../etc; reboot", safe=""))
    names = scenarios.claim(platform.broker).variables["apb_instance"]["names"]
    assert all(part.isalnum() for part in names["slug"].split("-"))


@pytest.mark.parametrize(("value", "reason"), [("a%00b", "NUL"), ("x" * 801, "800")], ids=["NUL", "too long"])
def test_id_that_cannot_be_kept_is_400(platform: Platform, value: str, reason: str) -> None:
    """URL Properties: what no database can hold is malformed; the answer says which id, and why."""
    assert "instance_id" in platform.put(value).json["description"]
    assert reason in platform.put(value).json["description"]
    platform.ready()
    answers = [platform.put(value), platform.fetch(value), platform.patch(value), platform.delete(value), platform.poll(value)]
    answers += [platform.bind(binding_id=value), platform.fetch("i1", value), platform.unbind(binding_id=value), platform.poll("i1", value)]
    assert [answer.status_code for answer in answers] == [400] * 9
    assert "binding_id" in answers[-1].json["description"]


def test_value_in_a_query_that_cannot_be_kept_is_400(platform: Platform) -> None:
    """URL Properties: the same for the ids in a query."""
    platform.ready()
    for name in ("operation", "service_id", "plan_id"):
        answer = platform.call("GET", f"/v2/service_instances/i1/last_operation?{name}=%00")
        assert (answer.status_code, name in answer.json["description"]) == (400, True)


@pytest.mark.parametrize("field", ["organization_guid", "space_guid"])
def test_guid_beyond_its_limit_is_400(platform: Platform, field: str) -> None:
    """URL Properties: the limit of ids is also that of the guids beside them."""
    answer = platform.put(**{field: "x" * 801})
    assert (answer.status_code, f"{field}: expected at most 800 bytes" in answer.json["description"]) == (400, True)


def test_ids_of_ours_need_no_encoding(platform: Platform) -> None:
    """URL Properties: unreserved characters are recommended for services, plans and operations, which are ours to name."""
    platform.ready()
    operations = [answer.json["operation"] for answer in (platform.bind(), platform.put("i2"), platform.unbind())]
    for value in (*platform.ids.values(), *operations):
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", value)
