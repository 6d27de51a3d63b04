"""What answers mean: OSB 2.17."""

import pytest

from apb_controller.rules import answers
from apb_controller.rules.answers import Answer, Call, Kind, Trouble
from tests.unit.controller.cluster import LOST, NOW, TIMEOUT, UNREACHABLE, http

PROVISION, UPDATE, DEPROVISION, BIND, UNBIND = Call.PROVISION, Call.UPDATE, Call.DEPROVISION, Call.BIND, Call.UNBIND
MUTATIONS = (PROVISION, UPDATE, DEPROVISION, BIND, UNBIND)
# Section "Orphan Mitigation": the answer, and the calls after which the platform has to delete.
ORPHANS = [
    (http(200), ()),
    (http(200, "<html>"), ()),
    (http(201, "<html>"), (PROVISION, DEPROVISION, BIND, UNBIND)),  # to a deletion 201 is "all other 2xx"
    (http(202, "<html>"), (PROVISION, BIND)),
    (http(202, {"operation": 1}), (PROVISION, BIND)),
    (http(203), (PROVISION, DEPROVISION, BIND, UNBIND)),
    (http(204, ""), (PROVISION, DEPROVISION, BIND, UNBIND)),
    (http(408), ()),
    *((http(status), ()) for status in (400, 401, 404, 409, 410, 412, 422, 429)),
    *((http(status), (PROVISION, DEPROVISION, BIND, UNBIND)) for status in (500, 502, 503, 504)),
    (TIMEOUT, (PROVISION, BIND)),
    (UNREACHABLE, ()),
    (LOST, ()),
]


def meant(call, answer, **more):
    return answers.classified(call, answer, NOW, **more)


@pytest.mark.parametrize("call", MUTATIONS)
@pytest.mark.parametrize(
    ("answer", "calls"),
    ORPHANS,
    ids=lambda value: f"{value.status or value.trouble.value} {value.body.decode()}" if isinstance(value, Answer) else "",
)
def test_orphan_is_possible_where_the_specification_says_so(call, answer, calls):
    """Section "Orphan Mitigation", each row for each call."""
    assert meant(call, answer).is_orphan_possible is (call in calls)


@pytest.mark.parametrize(
    ("call", "answer", "kind"),
    [
        (PROVISION, http(200), Kind.DONE),
        (PROVISION, http(201), Kind.DONE),
        (PROVISION, http(202), Kind.STARTED),
        (PROVISION, http(302), Kind.REFUSED),
        (PROVISION, http(410), Kind.REFUSED),
        (UPDATE, http(200), Kind.DONE),
        (UPDATE, http(201), Kind.MALFORMED),
        (DEPROVISION, http(200, ""), Kind.DONE),
        (DEPROVISION, http(410), Kind.GONE),
        (DEPROVISION, http(404), Kind.REFUSED),
        (BIND, http(201, {"credentials": {"a": 1}}), Kind.DONE),
        (BIND, http(201, {"credentials": "x"}), Kind.MALFORMED),
        (UNBIND, http(410), Kind.GONE),
        (Call.CATALOG, http(200, {"services": []}), Kind.DONE),
        (Call.CATALOG, http(200, "[]"), Kind.MALFORMED),
        (Call.CATALOG, http(304, ""), Kind.REFUSED),
        (Call.LAST_OPERATION, http(200, {"state": "in progress"}), Kind.IN_PROGRESS),
        (Call.LAST_OPERATION, http(200, {"state": "succeeded"}), Kind.SUCCEEDED),
        (Call.LAST_OPERATION, http(200, {"state": "failed"}), Kind.FAILED),
        (Call.LAST_OPERATION, http(200, {"state": ["failed"]}), Kind.MALFORMED),
        (Call.LAST_OPERATION, http(200, "null"), Kind.MALFORMED),
        (Call.LAST_OPERATION, http(202, {"state": "succeeded"}), Kind.MALFORMED),
        (Call.LAST_OPERATION, http(404), Kind.NOT_FOUND),
        (Call.LAST_OPERATION, http(410), Kind.GONE),
        (Call.GET_BINDING, http(200, {"credentials": {}}), Kind.DONE),
        (Call.GET_BINDING, http(404), Kind.REFUSED),
    ],
)
def test_answer_is_of_a_kind(call, answer, kind):
    """Section by section of the endpoints."""
    assert meant(call, answer).kind is kind


def test_202_that_was_not_allowed_makes_no_sense():
    """accepts_incomplete was not sent."""
    assert meant(BIND, http(202), may_be_async=False).kind is Kind.MALFORMED


def test_error_is_in_upstreams_words():
    """The broker's error and description, and what is missing."""
    found = meant(PROVISION, http(422, {"error": "AsyncRequired", "description": "ask so"}))
    assert found.error == "Status: 422; ErrorMessage: AsyncRequired; Description: ask so; ResponseError: <nil>"
    assert meant(PROVISION, http(500, "<html>")).error == "Status: 500; ErrorMessage: <nil>; Description: <nil>; ResponseError: <nil>"


def test_answer_without_the_body_it_had_tells_why():
    """Too long, or not to be decoded: what there is of it has a meaning, as far as the status goes."""
    cut = answers.Answer(201, b"", {}, error="the answer is longer than 5 bytes")
    found = meant(PROVISION, cut)
    assert (found.kind, found.error, found.is_orphan_possible) == (Kind.MALFORMED, "Status: 201; the answer is longer than 5 bytes", True)
    assert meant(Call.DEPROVISION, answers.Answer(200, b"", {}, error="the answer is longer than 5 bytes")).kind is Kind.DONE


def test_error_of_any_length_is_shortened():
    """A condition is no place for a page of HTML, nor an object for a megabyte."""
    assert len(meant(PROVISION, http(500, {"description": "x" * 100_000})).error) == answers.MOST_OF_AN_ERROR
    assert len(meant(Call.LAST_OPERATION, http(200, {"state": "failed", "description": "x" * 100_000})).description) == 1000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("Sun, 01 Mar 2026 12:00:20 GMT", 20),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("Sun, 01 Mar 2026 12:00:20", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    """RFC 9110; anything else is not there."""
    assert meant(Call.LAST_OPERATION, http(200, {"state": "in progress"}, retry_after=header)).retry_after == seconds


GARBAGE = [b"", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"error": {}, "description": [1], "state": 3}']


@pytest.mark.parametrize("call", list(Call))
def test_garbage_is_of_some_kind(call):
    """Whatever a broker says, it is an outcome."""
    for body in GARBAGE:
        for status in (100, 200, 201, 202, 299, 300, 400, 404, 410, 422, 500, 999):
            assert meant(call, Answer(status, body)).kind in Kind


@pytest.mark.parametrize("trouble", list(Trouble))
def test_trouble_is_of_its_own_kind(trouble):
    """No answer, in three ways."""
    assert meant(PROVISION, Answer(trouble=trouble)).error
