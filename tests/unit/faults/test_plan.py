"""The plan of a fault suite: what it promises to cover."""

from collections import Counter

from tests.faults import kinds
from tests.faults.plan import ROUND, Plan
from tests.faults.subjects import MODES

TASKS = {mode: dict.fromkeys(subject.actions, 3) for mode, subject in MODES.items()}
ACTIONS = MODES["redis-host"].actions


def dealt(seed, journeys):
    """[(mode, action, Planned)] of so many instances."""
    plan = Plan(seed, TASKS, list(kinds.KINDS))
    found = [plan.journey(number) for number in range(journeys)]
    return [(mode, action, planned) for mode, actions in found for action, planned in actions.items()]


def test_plan_of_two_rounds_has_each_kind():
    """Whatever the seed."""
    for seed in range(20):
        found = dealt(seed, 2 * len(ROUND))
        assert len(found) == 48
        assert {planned.kind for _mode, _action, planned in found} == set(kinds.KINDS)


def test_plan_of_three_hundred_faults_has_each_kind_in_each_action():
    """And each step of each action of each mode that is possible there."""
    found = dealt(1, 63)
    assert len(found) >= 300
    per_action = Counter((planned.kind, action) for _mode, action, planned in found)
    assert [(kind, action) for kind in kinds.KINDS for action in ACTIONS if not per_action[kind, action]] == []
    steps = {(mode, action, planned.step) for mode, action, planned in found if mode != "stubborn"}
    wanted = ["request", "accepted", "claimed", "started", 1, 2, 3, "published", "finished"]
    assert {
        (mode, action, step) for mode in set(ROUND) - {"stubborn"} for action in MODES[mode].actions for step in wanted
    } - steps == set()


def test_plan_is_the_same_for_the_same_seed():
    """A failure can be had again."""
    assert dealt(7, 10) == dealt(7, 10)
    assert dealt(7, 10) != dealt(8, 10)
