"""Which fault is done to which action of which instance, and at which step: spread evenly over all of them, drawn from a seed."""

import random
from collections import Counter
from dataclasses import dataclass

from tests.faults import kinds, subjects

# One round has each mode, and the servers of their own twice: most can go wrong there.
ROUND = ("redis-host", "postgresql-shared", "stubborn", "redis-shared", "redis-host")


@dataclass
class Planned:
    """One fault to come. `step` is one of kinds.ALWAYS or ORDERED, or the number of a task from 1."""

    kind: str
    step: str | int
    seed: str


class Plan:
    """Deals faults out. `tasks` says how many tasks an action of a mode has: {mode: {action: number}}."""

    def __init__(self, seed, tasks, allowed):
        self._seed, self._tasks, self._allowed = seed, tasks, allowed
        self._chance = random.Random(seed)
        self._dealt, self._steps = Counter(), Counter()

    def journey(self, number):
        """The mode of an instance, and {action: Planned}."""
        mode = ROUND[number % len(ROUND)]
        return mode, {action: self._deal(mode, action, number) for action in subjects.MODES[mode].actions}

    def _deal(self, mode, action, number):
        """The fault and step that had their turn least often: the kind, the kind in this action, the step of this action in this mode."""
        choice = [kind for kind in (kinds.OF_ROLES if mode == "stubborn" else kinds.OF_ALL) if kind in self._allowed]
        tasks = self._tasks[mode][action]
        pairs = [(kind, step) for kind in choice for each in kinds.KINDS[kind].steps for step in self._expanded(each, tasks)]
        turns = {
            (kind, step): self._dealt[kind] + 3 * self._dealt[kind, action] + 4 * self._steps[mode, action, step] for kind, step in pairs
        }
        kind, step = min(pairs, key=lambda pair: (turns[pair], self._chance.random()))
        self._dealt.update([kind, (kind, action)])
        self._steps[mode, action, step] += 1
        return Planned(kind, step, f"{self._seed} {number} {action}")

    def _expanded(self, step, tasks):
        return range(1, tasks + 1) if step == "task" else [step]
