"""What judges a fault suite finds what it is there to find."""

import json

import pytest

from tests.faults import listing, states
from tests.faults.journal import Journal

RUN = {"operation": "o", "instance": "i", "action": "update", "binding": None, "worker": 1, "at": 0.0}


def claimed(epoch):
    return {**RUN, "event": "claimed", "epoch": epoch}


def started(epoch, overlapping=()):
    return {**RUN, "event": "started", "epoch": epoch, "supervisor": epoch, "overlapping": dict(overlapping)}


def finished(epoch, status="succeeded", *, accepted=True):
    return {**RUN, "event": "finished", "epoch": epoch, "status": status, "accepted": accepted}


@pytest.fixture
def problems_of(tmp_path):
    """What the journal says of these lines."""

    def judged(*lines):
        journal = Journal(tmp_path / "journal")
        (tmp_path / "journal").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return journal.problems()

    return judged


def test_journal_of_an_operation_that_was_taken_over_has_no_problem(problems_of):
    """The first owner woke up too late and was refused."""
    assert problems_of(claimed(1), started(1), claimed(2), started(2), finished(2), finished(1, accepted=False)) == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([claimed(1), started(1), claimed(2), started(2, {"1": [4711]}), finished(2)], "beside processes of older runs"),
        ([claimed(1), started(1), claimed(2), started(2), finished(1)], "the result of epoch 1 was taken"),
        ([claimed(1), started(1), finished(1), finished(1)], "succeeded twice"),
        ([claimed(2), started(2), claimed(1), started(1), finished(2)], "epochs do not grow"),
    ],
)
def test_journal_tells_what_must_not_be(problems_of, lines, words):
    """Two runs at a time, the word of an old owner, two ends, an epoch given out in the wrong order."""
    (problem,) = problems_of(*lines)
    assert words in problem


def test_journal_is_read_line_by_line_while_it_is_written(tmp_path):
    """Half a line is left for the next look."""
    journal, text = Journal(tmp_path / "journal"), json.dumps(claimed(1)) + "\n"
    (tmp_path / "journal").write_text(text + text[:10])
    assert len(journal.lines()) == 1
    (tmp_path / "journal").write_text(text + text)
    assert len(journal.lines("o")) == 2


def test_states_are_compared_in_common_words_and_any_order():
    """Accounts whose names differ are the same; what is there twice is not the same as once."""
    one = states.in_common_words({"accounts": ["a-1 on", "z on"]}, {"a-1": "ACCOUNT"})
    other = states.in_common_words({"accounts": ["z on", "zz-2 on"]}, {"zz-2": "ACCOUNT"})
    assert states.unlike(one, other) == {}
    assert states.unlike(one, {"accounts": [*one["accounts"], "z on"]}) == {"/accounts": (one["accounts"], [*one["accounts"], "z on"])}


def test_listings_tell_what_came_and_what_went():
    """A second process with the same command line is one more."""
    before, after = {"processes": ["redis", "web"]}, {"processes": ["redis", "redis"]}
    assert listing.unlike(before, after) == {"processes": {"came": ["redis"], "went": ["web"]}}


def test_listing_of_files_counts_what_has_names_by_chance(tmp_path):
    """A directory of counters that a killed server left is one too many; what is in it does not matter."""
    for name in ("apb-metrics-a1", "apb-metrics-b2"):
        (tmp_path / "tmp" / name).mkdir(parents=True)
        (tmp_path / "tmp" / name / "lock").touch()
    assert listing.files(tmp_path) == ["tmp", "tmp/apb-metrics-", "tmp/apb-metrics-"]
