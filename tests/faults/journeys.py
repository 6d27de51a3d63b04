"""One instance from its provision to its removal, with a fault in each action, and what has to be true after each.

A journey without faults tells what is to be found after each action, and how many tasks each has.
"""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from apb_broker.storage.database import Database
from apb_broker.storage.errors import StorageError
from apb_broker.storage.sealing import Keyring
from tests.faults import kinds, states
from tests.faults.remains import alive_of
from tests.faults.subjects import MODES

END_SECONDS = 300  # longer than any operation may take
POLL_SECONDS = 0.25
SETTLE_SECONDS = 8  # what a server does by itself a moment later, and the last words of processes
HELD = ("claimed", "started", "published", "finished")
REPEATS = 3


class Problem(Exception):
    """Something that must not be."""


class Journey:
    """The instance, and everything the broker has promised about it."""

    def __init__(self, site, client, offered, mode, number, *, planned=None, expected=None):
        self.site, self.client, self.planned, self.expected = site, client, planned or {}, expected
        self.subject = MODES[mode](site, offered, number)
        self.promised, self.found, self.tasks, self.hits, self.missed = [], {}, {}, [], []
        self.life = None

    def carry_out(self):
        """All actions, one after the other. Raises Problem."""
        for action in self.subject.actions:
            self._carry_out(action, self.planned.get(action))
        self._require_no_other_operations()

    # One action

    def _carry_out(self, action, planned):
        fault = kinds.KINDS[planned.kind] if planned else None
        began = time.monotonic()
        operation = self._ask_under_fault(action, planned, fault) if planned else self._ask(action)
        ended = self._await_end(action, operation)
        if planned and planned.kind == "deleted":
            self._begin_again(action)
            ended = "succeeded"
        for _ in range(REPEATS):
            if ended == "succeeded":
                break
            said = self._said(operation)
            self._require(fault and (fault.may_fail or self._is_excused(fault, said, began)), action, f"ended {ended}: {said}")
            if fault.behaviour:
                self.subject.withdraw()
            operation = self._ask(action)
            ended = self._await_end(action, operation)
        self._require(ended == "succeeded", action, "did not succeed when it was sent again")
        self._judge(action)

    def _is_excused(self, fault, said, began):
        return "its output is hidden (no_log)" in said and (fault.may_fail_hidden or self.site.full_until > began)

    def _ask_under_fault(self, action, planned, fault):
        """Sends the request, and does the fault at its step; the operation."""
        moment = kinds.Moment(self.site, self.client, self.subject, action, random.Random(planned.seed))
        if fault.behaviour:
            self._order(action, fault.behaviour)
        if planned.step in HELD:
            (self.site.holds / f"{self.subject.id}.{action}.{planned.step}").touch()
        if planned.step == "request":
            with ThreadPoolExecutor(1) as pool:
                during = pool.submit(self._do_during_request, moment, planned, fault)
                operation = self._ask(action)
                during.result()
            return operation
        moment.operation = operation = self._ask(action)
        try:
            if operation and self._await_step(moment, planned.step):
                self._note(planned, action, hit=fault.do(moment))
            else:
                self._note(planned, action, hit=False)
        finally:
            kinds.release(moment)
        return operation

    def _do_during_request(self, moment, planned, fault):
        time.sleep(moment.chance.uniform(0, 0.04))
        self._note(planned, moment.action, hit=fault.do(moment))

    def _order(self, action, behaviour):
        self.subject.order(action, behaviour)
        if behaviour in ("hang", "flood"):  # what ansible-core does with 200 MB takes it minutes
            self.site.sql("INSERT INTO short_deadlines VALUES (%s, %s, %s)", self.subject.id, action, kinds.SHORT_DEADLINE_SECONDS)

    def _note(self, planned, action, *, hit):
        (self.hits if hit else self.missed).append((planned.kind, action, planned.step))

    def _await_step(self, moment, step):
        """Whether the operation comes to the step."""
        if step in ("accepted", *kinds.ORDERED):  # the latter is waited for by the fault
            return True
        if step in HELD:
            held = self.site.holds / f"{self.subject.id}.{moment.action}.{step}.held"
            return self.site.journal.wait(
                moment.operation, lambda _lines: held.exists(), is_over=lambda: not kinds.is_active(moment), seconds=60
            )
        begun = self.site.journal.wait(
            moment.operation, lambda lines: tasks(lines) >= step, is_over=lambda: not kinds.is_active(moment), seconds=60
        )
        time.sleep(moment.chance.uniform(0, 0.15) if begun else 0)
        return begun

    def _ask(self, action):
        """Sends the request; the operation that was promised, or None when everything is as asked for already."""
        method, path, options = self.subject.request(action)
        response = self.client.send(method, path, **options)
        fine = (
            HTTPStatus.OK,
            HTTPStatus.CREATED,
            HTTPStatus.ACCEPTED,
            HTTPStatus.GONE,
        )  # an answer may have been lost, with its effect kept
        self._require(response.status_code in fine, action, f"answered with {response.status_code} {response.text}")
        operation = response.json().get("operation") or self._newest(action)
        if operation not in self.promised:
            self.promised.append(operation)
        return operation

    def _newest(self, action):
        """The operation that an answer without one is about."""
        mine = [each["id"] for each in self.client.operations(self.subject.id) if each["kind"] == action]
        self._require(bool(mine), action, "is done, and there was no operation")
        return mine[0]

    def _await_end(self, action, operation):
        """How the operation ended, as a platform sees it."""
        end = time.monotonic() + END_SECONDS
        while time.monotonic() < end:
            response = self.client.send("GET", self.subject.path(action), params={"operation": operation})
            self._require(
                response.status_code in (HTTPStatus.OK, HTTPStatus.GONE), action, f"polled: {response.status_code} {response.text}"
            )
            state = response.json().get("state", "succeeded")
            if state != "in progress":
                return state
            time.sleep(POLL_SECONDS)
        raise Problem(self._told(action, f"operation {operation} is lost: it did not end within {END_SECONDS} s: {self._said(operation)}"))

    def _begin_again(self, action):
        """It was deleted in the middle of the action. Nothing is left then; a new one is brought to where the old one was to be."""
        removal = self._newest("deprovision") if action != "deprovision" or self.hits[-1:] else None
        if removal is None or self._await_end("deprovision", removal) != "succeeded":
            raise Problem(self._told(action, "its removal did not succeed"))
        if removal not in self.promised:
            self.promised.append(removal)
        if action == "deprovision":
            return
        self._judge("deprovision")
        for each in self.subject.actions[: self.subject.actions.index(action) + 1]:
            operation = self._ask(each)
            self._require(self._await_end(each, operation) == "succeeded", each, f"failed after a removal: {self._said(operation)}")
            self._learn(each)

    # What has to be true

    def _judge(self, action):
        """The instance is there exactly once, as when nothing had happened; nothing of any run is left."""
        self._learn(action)
        self._require_no_runs(action)
        found = self._await_expected(action)
        if self.expected is None:
            self.found[action] = found
            self.tasks[action] = max(tasks(self.site.journal.lines(each)) for each in self.promised if self._is_of(each, action))
        else:
            self._require(not (unlike := states.unlike(self.expected[action], found)), action, f"left something else: {unlike}")
        self._require_same_answer(action)
        self._require_use(action)

    def _learn(self, action):
        """What only the broker knows."""
        if action == "provision":
            self.subject.secrets = self._unsealed()
            answered = self.client.send("GET", f"/admin/v1/instances/{self.subject.id}").json()
            self.subject.port = answered["connection"].get("port")
            self.life = self.subject.life() if hasattr(self.subject, "life") else None
        if action == "bind":
            answered = self.client.send("GET", self.subject.request("bind")[1])
            self._require(answered.status_code == HTTPStatus.OK, action, f"has no credentials: {answered.text}")
            self.subject.credentials = answered.json()["credentials"]
            self.subject.use()

    def _unsealed(self):
        database = Database(self.site.database.url, Keyring.load(self.site.state.key_file))
        end = time.monotonic() + 60
        try:
            while True:
                try:
                    with database.unit() as unit:
                        return dict(unit.instance(self.subject.id).secrets or {})
                except StorageError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.1)
        finally:
            database.close()

    def _await_expected(self, action):
        """What there is, once it is as expected; or a while later."""
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            found = self.subject.state()
            if self.expected is None or found == self.expected[action] or time.monotonic() > end:
                return found
            time.sleep(0.2)

    def _require_no_runs(self, action):
        """No process and no directory of any run of its operations."""

        def left():
            supervisors = {}
            for operation in filter(None, self.promised):
                supervisors |= self.site.journal.supervisors(operation)
            directories = [path for pid in supervisors for path in self.site.namespace.shared_memory.glob(f"apb-run-{pid}-*")]
            return [*alive_of(supervisors).items(), *directories]

        end = time.monotonic() + SETTLE_SECONDS
        while found := left():
            self._require(time.monotonic() < end, action, f"has left of its runs: {found}")
            time.sleep(0.1)

    def _require_same_answer(self, action):
        """The same request once more changes nothing, and says so."""
        method, path, options = self.subject.request(action)
        response = self.client.send(method, path, **options)
        wanted = HTTPStatus.GONE if action in ("unbind", "deprovision") else HTTPStatus.OK
        self._require(response.status_code == wanted, action, f"again: {response.status_code} {response.text}")
        if action == "bind":
            self._require(response.json()["credentials"] == self.subject.credentials, action, "again gave other credentials")

    def _require_use(self, action):
        if action in ("bind", "update"):
            self.subject.use()
        elif self.subject.credentials and action in ("unbind", "deprovision"):
            self._require(self.subject.is_refused(), action, "has left the account working")
        if self.life and action in ("bind", "update", "unbind"):
            self._require(self.subject.life() == self.life, action, "has restarted the server")

    def _require_no_other_operations(self):
        """As many operations as were promised, all of which have ended, and all that is known of them was told once."""
        operations = {each["id"]: each["state"] for each in self.client.operations(self.subject.id)}
        self._require(set(operations) == set(self.promised), "in all", f"promised {self.promised}, there are {operations}")
        active = [each for each, state in operations.items() if state in ("queued", "running")]
        self._require(not active, "in all", f"in progress still: {active}")

    # Words

    def _require(self, holds, action, words):
        if not holds:
            raise Problem(self._told(action, words))

    def _told(self, action, words):
        planned = self.planned.get(action)
        fault = f" with '{planned.kind}' at {planned.step}" if planned else ""
        return f"{self.subject.id}: {action}{fault} {words}"

    def _said(self, operation):
        """The log of an operation."""
        rows = self.site.sql("SELECT text FROM progress WHERE operation_id = %s ORDER BY sequence", operation)
        return json.dumps([row[0] for row in rows][-20:])

    def _is_of(self, operation, action):
        return any(line["action"] == action for line in self.site.journal.lines(operation))


def tasks(lines):
    """How many tasks the last run has begun."""
    epoch = max((line["epoch"] for line in lines), default=0)
    return len([line for line in lines if line["event"] == "task" and line["epoch"] == epoch])
