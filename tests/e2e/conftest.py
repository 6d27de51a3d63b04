"""One running apb for all end-to-end tests of a session."""

from collections.abc import Iterator

import pytest

from tests.e2e.machine import Machine, machine


@pytest.fixture(scope="module")
def up() -> Iterator[Machine]:
    """`apb up` on a machine of its own."""
    with machine() as made:
        made.start()
        yield made
        made.stop()
