"""What events mean, where a real playbook for it would be long."""

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import sealed_results

from apb_broker.execution.transcript import Transcript

KEY = sealed_results.new_key()


def stats(**values) -> dict:
    return {"event": "playbook_on_stats", "event_data": {"processed": {"localhost": 1}, "artifact_data": {}, **values}}


def failed(uuid="t", **result) -> dict:
    return {"event": "runner_on_failed", "event_data": {"task": "T", "task_uuid": uuid, "host": "h1", "res": result}}


def outcome(*events, status=0):
    transcript = Transcript(lambda progress: None, KEY)
    assert [transcript.handle(event) for event in events] == [False] * len(events)
    return transcript.outcome(status)


def test_outcome_names_the_host_that_is_not_this_one():
    """Where something failed matters when there are several hosts."""
    assert outcome(failed(msg="Task failed: Module failed: full"), stats(), status=2).message == "Task 'T' failed on h1: full"


@pytest.mark.parametrize(("result", "reason"), [({}, "no reason was given"), ({"msg": ["a", 1]}, "['a', 1]"), ({"reason": "r"}, "r")])
def test_outcome_takes_messages_of_any_shape(result, reason):
    """Modules may say anything."""
    assert outcome(failed(**result), stats(), status=2).message.endswith(f": {reason}")


@pytest.mark.parametrize(
    ("result", "words", "transient"),
    [
        ({"rc": 137, "module_stdout": "", "module_stderr": ""}, "(exit status 137: not a word)", True),
        ({"rc": -9, "module_stdout": "half", "module_stderr": ""}, "(exit status -9: half)", True),
        ({"rc": 1, "module_stdout": "", "module_stderr": "Traceback\nKeyError: x"}, "(exit status 1: KeyError: x)", False),
        ({"rc": 137}, "broken", False),
    ],
)
def test_outcome_tells_how_a_module_without_a_result_ended(result, words, transient):
    """One that was killed is run again, since nobody knows how far it came; a result with a status of its own is a module's word."""
    found = outcome(failed(msg="broken", **result), stats(), status=2)
    assert (found.message.endswith(words), found.transient) == (True, transient)


@pytest.mark.parametrize("events", [(), (stats(),)])
def test_outcome_is_lost_when_a_signal_ended_the_playbook(events):
    """Without an exit status nobody knows."""
    assert outcome(*events, status=None).status == "lost"


def test_outcome_is_lost_without_results():
    """A success whose published values did not arrive is none: a binding would have no credentials."""
    assert outcome().status == "lost"


def announced(uuid="t", event="playbook_on_task_start") -> dict:
    return {"event": event, "event_data": {"task": "T", "task_uuid": uuid, "host": "h1"}}


@pytest.mark.parametrize("kind", ["playbook_on_task_start", "playbook_on_handler_task_start"])
def test_outcome_is_lost_when_a_task_was_left_out(kind):
    """ansible-core (2.19, StrategyBase._queue_task) goes on, and succeeds, when it cannot fork a process for a task or write its event."""
    begun, done = announced(event="runner_on_start"), announced(event="runner_on_ok")
    found = outcome(announced(event=kind), begun, stats())
    assert (found.status, found.message) == ("lost", "The task 'T' was left out: it could not be started")
    assert outcome(announced(event=kind), begun, done, stats()).status == "succeeded"


def test_outcome_of_a_playbook_that_broke_may_be_repeated():
    """An exception that Ansible did not expect says nothing about the role."""
    assert outcome({"event": "error", "stdout": "[ERROR]: Unexpected Exception, this is probably a bug"}, status=250).transient
    assert not outcome({"event": "error", "stdout": "[ERROR]: the role 'x' was not found"}, status=1).transient


def test_outcome_refuses_published_values_of_another_shape():
    """What is published is a mapping."""
    assert outcome(stats(artifact_data={"apb_published": "x"})).status == "failed"


def test_outcome_keeps_known_published_keys_only():
    """Other keys of a role's making do not travel."""
    published = outcome(stats(artifact_data={"apb_published": {"outputs": {}, "dashboard_url": "u", "x": 1}})).published
    assert published == {"outputs": {}, "dashboard_url": "u"}


def test_outcome_tells_the_playbooks_own_error_without_its_source():
    """A syntax error is told with its place, not with lines that may hold anything."""
    lines = ["PLAY", "[ERROR]: broken", "Origin: /p.yml:1:2", "", "1 password: x"]
    events = [{"event": "verbose", "stdout": line} for line in lines]
    assert outcome(*events, status=4).message == "The playbook could not be run: broken\n(/p.yml:1:2)"


def test_outcome_without_any_word_tells_the_status():
    """Never an empty message for a failure; it may be run again, since its words may have been lost."""
    ended = outcome(status=5)
    assert ended.message == "The playbook ended with status 5 and no word"
    assert ended.transient


def test_outcome_of_a_playbook_that_had_no_room_for_its_events_may_be_repeated():
    """ansible-runner makes whatever ansible-playbook says an error when it cannot be kept."""
    lines = ["Traceback (most recent call last):", "    self.cache.set(begin_dict)", "OSError: [Errno 28] No space left on device"]
    ended = outcome(*({"event": "verbose", "stdout": line} for line in lines), status=1)
    assert ended.message == "This machine has no room left where runs keep their files: make room there"
    assert ended.transient


def test_outcome_unseals_what_tasks_published_and_adds_it_up():
    """Each task's results are sealed by themselves; of one kind, later ones add to earlier ones."""
    first = sealed_results.seal({"outputs": {"a": 1, "b": 1}, "credentials": {"user": "x"}}, KEY)
    second = sealed_results.seal({"outputs": {"b": 2}, "dashboard_url": "https://x"}, KEY)
    ended = outcome(stats(artifact_data={"apb_published": {"sealed": {"t1": first, "t2": second}}}))
    assert ended.published == {"outputs": {"a": 1, "b": 2}, "credentials": {"user": "x"}, "dashboard_url": "https://x"}


def test_outcome_of_a_failure_has_what_verify_found_and_nothing_else():
    """What differs is told by a verify that fails; anything else that was published counts only on success."""
    published = {"drift": ["b1 is missing"], "credentials": {"password": "half made"}, "outputs": {"x": 1}}
    sealed = {"apb_published": {"sealed": {"task": sealed_results.seal(published, KEY)}}}
    assert outcome(failed(msg="ill"), stats(artifact_data=sealed), status=2).published == {"drift": ["b1 is missing"]}
