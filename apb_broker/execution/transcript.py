"""What ansible-runner's events mean: progress, published values, and why a run failed in words for people. Masking is
left to the supervisor.

Of a task's result only its message is read: everything else in it may be anything.
"""

from collections import deque
from datetime import UTC, datetime
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import sealed_results

from apb_broker.execution import host_problems, limits
from apb_broker.execution.executors import Emit
from apb_broker.execution.job import Outcome, Progress

PUBLISHED = "apb_published"  # the key of apb.catalog.publish in the run's statistics
TOLD_BY_FAILURES = ("drift", "unreachable")
PUBLISHED_KEYS = ("credentials", "outputs", "connection", "dashboard_url", "survey")

_LOCAL = ("localhost", "127.0.0.1")
_PREFIXES = ("Task failed: ", "Module failed: ", "Action failed: ")
_ERROR_MARKS = ("[ERROR]:", "ERROR!")
_INCLUDES = ("include_role", "include_tasks")  # how a role is built, not what it does
_SPOKEN = ("error", "verbose")  # what ansible-playbook says itself, outside of tasks' results
_SIGNALED = 128  # a shell adds the number of the signal
_BROKE = 250  # ansible.cli: an exception that ansible-playbook did not expect
_ANNOUNCEMENTS = ("playbook_on_task_start", "playbook_on_handler_task_start")
_RESULTS = ("runner_", "playbook_on_include")  # how events begin that come after a task was begun
_DEAD_WORKER = "A worker was found in a dead state"


class Transcript:
    """Follows one run event by event."""

    def __init__(self, emit: Emit, publish_key: str) -> None:
        self._emit = emit
        self._publish_key = publish_key
        self._names: dict[str, str] = {}
        self._announced: dict[str, str] = {}  # tasks that nothing was heard of since
        self._failed_items: dict[str, dict[str, Any]] = {}
        self._output: deque[str] = deque(maxlen=60)
        self._problem = host_problems.Problem("", is_transient=False)
        self._statistics: dict[str, Any] | None = None
        self._has_missed_hosts = False
        self._handlers = {
            "playbook_on_task_start": self._on_task,
            "runner_on_start": self._on_start,
            "runner_item_on_failed": self._on_failed_item,
            "runner_on_failed": self._on_failed,
            "runner_on_unreachable": self._on_unreachable,
            "playbook_on_no_hosts_matched": self._on_no_hosts,
            "playbook_on_stats": self._on_statistics,
        }

    def handle(self, event: dict[str, Any]) -> bool:
        """Take in one event. Always False: ansible-runner is not to write it to a file."""
        name, data = event.get("event", ""), event.get("event_data", {})
        self._account(name, data)
        handler = self._handlers.get(name)
        if handler:
            handler(data)
        elif name in _SPOKEN and event.get("stdout", "").strip():
            self._output.append(event["stdout"])
        return False

    def _account(self, event: str, data: dict[str, Any]) -> None:
        if event in _ANNOUNCEMENTS:
            self._announced[data["task_uuid"]] = data["task"]
        elif event.startswith(_RESULTS) and event != "runner_on_start":
            self._announced.pop(data.get("task_uuid", ""), None)

    def _on_task(self, data: dict[str, Any]) -> None:
        # `task` is the rendered name only here: later events of the task carry the template.
        action = data.get("task_action", "").removeprefix("ansible.builtin.")
        unnamed = data["task"] == data.get("task_action") or action in _INCLUDES
        self._names[data["task_uuid"]] = "" if unnamed else data["task"]

    def _on_start(self, data: dict[str, Any]) -> None:
        if name := self._names.get(data["task_uuid"]):
            self._emit(Progress(name, data["host"], datetime.now(UTC)))

    def _on_failed_item(self, data: dict[str, Any]) -> None:
        self._failed_items.setdefault(data["task_uuid"], data["res"])

    def _on_failed(self, data: dict[str, Any]) -> None:
        if not data.get("ignore_errors"):
            result = self._failed_items.get(data["task_uuid"], data["res"])
            self._problem = self._failure(data["host"], result, self._name(data))

    def _failure(self, host: str, result: dict[str, Any], task: str) -> host_problems.Problem:
        reason = _reason(result)
        if host in _LOCAL and "censored" not in result:
            reason += limits.explanation(result, reason)
        sentence = f"Task '{task}' failed{_on(host)}: {reason}"
        found = None if "censored" in result else host_problems.of_failed(host, result, reason)
        return found or host_problems.Problem(sentence, host_problems.has_full_disk(reason) or _was_killed(result))

    def _on_unreachable(self, data: dict[str, Any]) -> None:
        self._problem = host_problems.of_unreachable(data["host"], data["res"], _reason(data["res"]))

    def _on_no_hosts(self, data: dict[str, Any]) -> None:
        self._has_missed_hosts = True

    def _on_statistics(self, data: dict[str, Any]) -> None:
        self._statistics = data

    def _name(self, data: dict[str, Any]) -> str:
        return self._names.get(data["task_uuid"]) or str(data["task"])

    def outcome(self, exit_status: int | None) -> Outcome:
        """How the run ended, once ansible-playbook has; None when a signal killed it."""
        if exit_status is None:
            return Outcome("lost", message="The playbook was killed before its end")
        if any(_DEAD_WORKER in line for line in self._output):
            return Outcome("lost", message="A process of the playbook was killed before its end")
        if exit_status != 0:
            problem = self._problem if self._problem.sentence else self._own_problem(exit_status)
            return Outcome("failed", published=self._told(), message=problem.sentence, transient=problem.is_transient)
        if self._announced:  # ansible-core goes on when it has no process, or no room, for a task (`StrategyBase._queue_task`)
            return Outcome("lost", message=f"The task '{next(iter(self._announced.values()))}' was left out: it could not be started")
        if self._statistics is None:
            return Outcome("lost", message="The playbook ended without telling its results")
        if self._has_missed_hosts and not self._statistics.get("processed"):
            return Outcome("failed", message="The playbook has run nothing: none of its plays matched a host")
        return self._success(self._statistics)

    def _success(self, statistics: dict[str, Any]) -> Outcome:
        published = self._published(statistics)
        if published is None:
            return Outcome("failed", message="The role published something that is not a mapping")
        return Outcome("succeeded", published={key: published[key] for key in PUBLISHED_KEYS if key in published})

    def _told(self) -> dict[str, Any]:
        """What a verify found before it failed; anything else counts only when the action succeeded."""
        published = self._published(self._statistics or {}) or {}
        return {key: published[key] for key in TOLD_BY_FAILURES if key in published}

    def _published(self, statistics: dict[str, Any]) -> dict[str, Any] | None:
        published = (statistics.get("artifact_data") or {}).get(PUBLISHED, {})
        return self._unsealed(published) if isinstance(published, dict) else None

    def _unsealed(self, published: dict[str, Any]) -> dict[str, Any]:
        """What tasks published one after the other, each sealed with the run's key; later ones add to earlier ones."""
        results = {key: value for key, value in published.items() if key != "sealed"}
        for text in published.get("sealed", {}).values():
            for key, value in sealed_results.unseal(text, self._publish_key).items():
                results[key] = {**results.get(key, {}), **value} if isinstance(value, dict) else value
        return results

    def _own_problem(self, exit_status: int) -> host_problems.Problem:
        """It may have no word because what it said was lost on the way: nobody knows, and every action may be run again."""
        said = self._said(exit_status)
        return host_problems.of_playbook(said) or host_problems.Problem(said, is_transient=exit_status == _BROKE or not self._output)

    def _said(self, exit_status: int) -> str:
        """No task failed, so ansible-playbook itself did: what it said, from its first error on."""
        lines = list(self._output)
        starts = [number for number, line in enumerate(lines) if line.lstrip().startswith(_ERROR_MARKS)]
        said = _without_source(lines[starts[0] :] if starts else lines[-10:])
        return f"The playbook could not be run: {said}" if said else f"The playbook ended with status {exit_status} and no word"


def _without_source(lines: list[str]) -> str:
    """Ansible's error without its mark and without the lines of the playbook that it quotes."""
    kept = []
    for line in lines:
        if line.startswith("Origin: "):
            kept.append(f"({line.removeprefix('Origin: ')})")
            break
        kept.append(line)
    said = "\n".join(kept).strip()
    for mark in _ERROR_MARKS:
        said = said.removeprefix(mark).lstrip()
    return said


def _on(host: str) -> str:
    return "" if host in _LOCAL else f" on {host}"


def _reason(result: dict[str, Any]) -> str:
    if "censored" in result:
        return "its output is hidden (no_log)"
    message = result.get("msg") or result.get("reason")  # `reason`: of an include
    text = message if isinstance(message, str) else "" if message is None else repr(message)
    while text.startswith(_PREFIXES):
        text = text.split(": ", 1)[1]
    return (text.strip() or "no reason was given") + _last_words(result)


def _was_killed(result: dict[str, Any]) -> bool:
    """A module that a signal ended before it told a result: nobody knows how far it came, and every action may be run again."""
    status = result.get("rc")
    return "module_stdout" in result and isinstance(status, int) and (status < 0 or status > _SIGNALED)


def _last_words(result: dict[str, Any]) -> str:
    """Of a module that ended without a result: its exit status, and what it or what ran it said last."""
    if "module_stdout" not in result or "rc" not in result:
        return ""
    said = "\n".join(str(result.get(name) or "") for name in ("module_stdout", "module_stderr")).strip()
    return f" (exit status {result['rc']}: {said.splitlines()[-1] if said else 'not a word'})"
