"""The suite: so many faults, several instances side by side, and the table of what was done and what became of it.

python -m tests.faults.suite [FAULTS [SEED]]      300 faults, a seed by chance
"""

import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from itertools import count

import psutil

from tests.faults import kinds, listing
from tests.faults.client import Client
from tests.faults.journeys import Journey, Problem
from tests.faults.plan import Plan
from tests.faults.site import SETTINGS, site
from tests.faults.subjects import MODES

FAULTS = 300
SIDE_BY_SIDE = 4
ACTIONS = ("provision", "bind", "update", "unbind", "deprovision")
WORKER_MB = 200  # a worker that has seen floods and many runs is no larger than this
QUIET_SECONDS = 20


class Suite:
    """One run of it on a site."""

    def __init__(self, here, wanted, seed, say):
        self.site, self.wanted, self.seed, self.say = here, wanted, seed, say
        self.client = Client(here.state)
        self.offered = {each["name"]: each for each in self.client.send("GET", "/v2/catalog").json()["services"]}
        self.hits, self.missed, self.problems = [], [], []
        self.expected, self.tasks, self.journeys = {}, {}, []
        self._numbers, self._lock, self.largest = count(), threading.Lock(), Counter()
        self._is_over, self._under_way = threading.Event(), 0

    def run(self):
        """All of it; what must not be is in `problems` then."""
        before = listing.of(self.site)
        watch = threading.Thread(target=self._watch_memory)
        watch.start()
        try:
            self._side_by_side([(self._learn, mode) for mode in MODES])
            if not self.problems:
                allowed = [kind for kind in kinds.KINDS if self._can_be(kind)]
                self.plan = Plan(self.seed, self.tasks, allowed)
                self._side_by_side([(self._go_on,)] * SIDE_BY_SIDE)
        finally:
            self._is_over.set()
            watch.join()
        self.problems += self.site.journal.problems() + self.client.odd + self.site.strange
        self.problems += [f"{name} grew to {size} MB" for name, size in self.largest.items() if size > WORKER_MB]
        self._compare(before)

    def _can_be(self, kind):
        if kind in kinds.OF_WARM:
            return SETTINGS["executor"] == "warm"
        return kind != "disk full" or self.site.namespace.is_own

    def _side_by_side(self, works):
        threads = [threading.Thread(target=self._safely, args=work, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _safely(self, work, *arguments):
        try:
            work(*arguments)
        except Exception:
            self._is_over.set()
            self.problems.append(traceback.format_exc())

    def _learn(self, mode):
        journey = Journey(self.site, self.client, self.offered, mode, "undisturbed")
        journey.carry_out()
        self.journeys.append(journey)
        self.expected[mode], self.tasks[mode] = journey.found, journey.tasks

    def _go_on(self):
        """Journeys until there are faults enough, done or under way."""
        while not self._is_over.is_set():
            with self._lock:
                if len(self.hits) + self._under_way >= self.wanted:
                    return
                number = next(self._numbers)
                mode, planned = self.plan.journey(number)
                self._under_way += len(planned)
            journey = Journey(self.site, self.client, self.offered, mode, number, planned=planned, expected=self.expected[mode])
            self._carry_out(journey)
            with self._lock:
                self._under_way -= len(planned)
                self.journeys.append(journey)
                self.hits += journey.hits
                self.missed += journey.missed
                self.say(f"{len(self.hits)} faults, {len(self.problems)} problems")

    def _carry_out(self, journey):
        try:
            journey.carry_out()
        except Exception as error:
            is_told = isinstance(error, (Problem, AssertionError)) and str(error)
            self.problems.append(str(error) if is_told else f"{journey.subject.id}, {journey.planned}: {traceback.format_exc()}")
            self.say(f"PROBLEM {self.problems[-1]}")

    def _watch_memory(self):
        """How large workers and supervisors become."""
        while not self._is_over.wait(1):
            for part in self.site.workers:
                try:
                    worker = psutil.Process(part.pid)
                    for name, process in [("a worker", worker), *(("a supervisor", child) for child in worker.children())]:
                        self.largest[name] = max(self.largest[name], process.memory_info().rss >> 20)
                except psutil.Error:
                    continue

    def _compare(self, before):
        end = time.monotonic() + QUIET_SECONDS
        while (unlike := listing.unlike(before, listing.of(self.site))) and time.monotonic() < end:
            time.sleep(0.5)
        if unlike:
            self.problems.append(f"the machine is not as before: {unlike}")
        hosted = sorted(journey.subject.slug for journey in self.journeys if journey.subject.mode in ("redis-host", "stubborn"))
        if (found := listing.tombstones(self.site)) != hosted:
            self.problems.append(f"epochs are remembered of {found}, there were {hosted}")

    # Words

    def report(self):
        """What was done, and what became of it."""
        per = Counter((kind, action) for kind, action, _step in self.hits)
        steps = Counter((f"task {step}" if isinstance(step, int) else step, action) for _kind, action, step in self.hits)
        lines = self.site.journal.lines()
        states = [row[0] for row in self.site.sql("SELECT state FROM operations")]
        lost = [state for state in states if state in ("queued", "running")]
        runs, doubled = len([line for line in lines if line["event"] == "started"]), len(self.site.journal.problems())
        refused = len([line for line in lines if line["event"] == "finished" and not line["accepted"]])
        return "\n".join(
            [
                table("fault", per),
                table("step", steps),
                f"{len(self.hits)} faults of {len({hit[0] for hit in self.hits})} kinds, {len(self.missed)} more came too late;"
                f" seed {self.seed}",
                f"{len(self.journeys)} instances, {len(states)} operations accepted, {len(states) - len(lost)} ended, {len(lost)} lost,"
                f" {doubled} double effects; {runs} runs, {refused} results of old owners refused",
                f"{self.site.restarts} processes started again, {self.client.repeated} requests repeated;"
                f" largest: {', '.join(f'{name} {size} MB' for name, size in self.largest.items())}",
                f"{len(self.problems)} problems",
            ]
        )


def table(head, counted):
    """Rows by name, columns by action."""
    names = sorted({name for name, _action in counted})
    rows = [f"{head:24}" + "".join(f"{action:>13}" for action in ACTIONS)]
    rows += [f"{name:24}" + "".join(f"{counted[name, action] or '-':>13}" for action in ACTIONS) for name in names]
    return "\n".join([*rows, ""])


def run(wanted, seed, say):
    """The suite on a site of its own; its problems, and its report."""
    say(f"APB_SEED={seed}")
    with site() as here:
        suite = Suite(here, wanted, seed, say)
        suite.run()
        report = suite.report()
        if suite.problems:
            report += "\n" + "\n".join(f"== {part.name}\n{part.last_words()}" for part in here.parts)
        return suite.problems, report


def seed_by_chance():
    return os.environ.get("APB_SEED") or str(random.SystemRandom().randrange(10**6))


def main():
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else FAULTS
    seed = sys.argv[2] if len(sys.argv) > 2 else seed_by_chance()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left then either
    began = time.monotonic()
    problems, report = run(wanted, seed, lambda text: print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True))
    print(report)
    for problem in problems:
        print(f"PROBLEM {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
