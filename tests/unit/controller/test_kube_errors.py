"""What the API server's refusals are taken for."""

import json

import pytest

from apb_controller.kube import errors


def status(reason: str) -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": "told why"}).encode()


REFUSALS = {
    "there is no such object": (404, status("NotFound"), errors.NotFound),
    "the kind is not served": (404, b"404 page not found\n", errors.Unavailable),
    "a proxy knows no way": (404, b"<html>", errors.Unavailable),
    "changed meanwhile": (409, status("Conflict"), errors.Conflict),
    "there is one": (409, status("AlreadyExists"), errors.AlreadyExists),
    "too old": (410, status("Expired"), errors.Expired),
    "not allowed": (403, status("Forbidden"), errors.Forbidden),
    "makes no sense": (422, status("Invalid"), errors.Refused),
    "busy": (429, status("TooManyRequests"), errors.Unavailable),
    "broken": (500, b"", errors.Unavailable),
}


@pytest.mark.parametrize(("code", "body", "kind"), REFUSALS.values(), ids=REFUSALS)
def test_refusal_is_taken_for_what_can_be_done_about_it(code: int, body: bytes, kind: type[errors.KubeError]) -> None:
    """An object counts as gone only when the server says that it is the object that is not there."""
    found = errors.of_answer(code, body, "7")
    assert type(found) is kind
    assert found.status == code
    assert "told why" in str(found) or str(code) in str(found)
