"""One running apb for all end-to-end tests of a session."""

from collections.abc import Iterator

import pytest

from tests.e2e.machine import Machine, machine


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """`apb up` on a machine of its own, with the executor that the module asks for, or APB_TEST_EXECUTOR."""
    with machine() as made:
        made.executor = getattr(request, "param", made.executor)
        made.start()
        yield made
        made.stop()
        assert made.cold_runs() == set()
