"""A short form of the suite: half of the kinds of faults, others with another seed, on a whole apb. `make test-faults` injects 300.

APB_FAULTS and APB_SEED ask for others.
"""

import os

from tests.faults import suite

FAULTS = 12


def test_no_fault_loses_an_operation_does_one_twice_or_leaves_anything():
    """Every accepted operation ends, each instance is there exactly once and works, and in the end the machine is as it was."""
    problems, report = suite.run(int(os.environ.get("APB_FAULTS", FAULTS)), suite.seed_by_chance(), print)
    print(report)
    assert problems == []
