"""What fuzzing found and is none of the other files' subjects: each was a failure of the broker once."""

import pytest

from tests.contract.conftest import HEADERS, Platform


@pytest.mark.parametrize("login", ["Basic é", "Basic YWRtaW4\xe9", "Basic \xff\xfe", "Bearer é"])
def test_login_beyond_ascii_is_401(platform: Platform, login: str) -> None:
    """Authentication: what cannot be read is no login, and no failure of the broker either."""
    answer = platform.client.get("/v2/catalog", headers={**HEADERS, "Authorization": login})
    assert (answer.status_code, list(answer.json)) == (401, ["description"])


@pytest.mark.parametrize(
    "path",
    [
        "instances/%00",
        "operations/a%00b",
        "operations/%00/log",
        "instances?name=%00",
        "instances?space=%00",
        "operations?state=%00",
        "audit?instance=%00",
    ],
)
def test_nul_is_400_for_operators_too(platform: Platform, path: str) -> None:
    """No text of the database can hold it."""
    answer = platform.call("GET", f"/admin/v1/{path}")
    assert (answer.status_code, "NUL" in answer.json["description"]) == (400, True)


@pytest.mark.parametrize("value", ["\0", "\ud800", [[[]]], {"\0": "\0"}])
def test_field_that_is_unknown_may_hold_anything(platform: Platform, value: object) -> None:
    """Vendor Extension Fields: unknown fields must be ignored, also what could not be kept if it were known."""
    assert platform.put(x_vendor=value).status_code == 202
    assert platform.put("i2", context={"x_vendor": value}).status_code == (202 if value == [[[]]] else 400)
