"""The stop of a server that is kept and its restore, killed at points all over and run again: the same end state.

The points come from a seed, which is printed; APB_SEED sets it.
"""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.killed_plays import Point
from tests.faults.states import unlike
from tests.faults.test_killed_actions import SEED, redis_on_host

ACTIONS = ("stop", "restore")
POINTS = 3


def provisioned(subject):
    """A server with data and the account of a binding."""
    subject.instance.bindings = [subject.binding]
    played = subject.play("provision")
    assert played.code == 0, played.text
    with subject.instance.admin() as client:
        client.set("kept", "data")
    return subject


def undisturbed(subject):
    """The state after each action, and how long its tasks took; a second run changes nothing."""
    states, times = {}, {}
    for action in ACTIONS:
        first = subject.play(action)
        assert first.code == 0, first.text
        states[action], times[action] = subject.state(), first.times
        again = subject.play(action)
        assert (again.code, again.changed) == (0, 0), again.text
        assert unlike(states[action], subject.state()) == {}, action
    return states, times


def killed(subject, shares, states, times):
    """Each action killed at its point and run again."""
    provisioned(subject)
    for action in ACTIONS:
        subject.play(action, Point(shares[action], times[action]))
        again = subject.play(action)
        told = f"{action} killed {shares[action]:.3f} of the way through, at {subject.host.kills[-1:]}, seed {SEED}"
        assert again.code == 0, f"{told}: {again.text}"
        assert unlike(states[action], subject.state()) == {}, told


@pytest.mark.long
def test_stop_and_restore_end_the_same_when_killed_and_run_again():
    """No server after a stop, whatever is left of its accounts; after a restore the data, and no account of a binding."""
    print(f"APB_SEED={SEED}")
    chosen = random.Random(f"{SEED} kept")
    with redis_on_host() as made:
        first = provisioned(made("undisturbed"))
        first.host.settings["redis_answer_wait_seconds"] = 0  # the second stop asks a server that is there no more
        states, times = undisturbed(first)
        assert states["stop"]["server"] is None
        assert states["stop"]["processes"] == []
        assert states["restore"]["server"]["keys"] == {"kept": "data"}
        assert "ACCOUNT" not in str(states["restore"]["server"]["accounts"])
        shares = [{action: (third + chosen.random()) / POINTS for action in ACTIONS} for third in range(POINTS)]
        subjects = [made(f"killed in part {third}") for third in range(POINTS)]
        with ThreadPoolExecutor(POINTS) as pool:
            for done in [pool.submit(killed, *each, states, times) for each in zip(subjects, shares, strict=True)]:
                done.result()
        assert sum(len(subject.host.kills) for subject in subjects) == POINTS * len(ACTIONS)
