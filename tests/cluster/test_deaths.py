"""kill -9 of the controller between any two of its writes and calls: the next one goes on, nothing is made twice, nothing is left."""

import random
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.cluster import lives
from tests.cluster.lives import LIVES, Line

pytestmark = pytest.mark.cluster
PARTS = 16
SHORT = ("begun", 0)  # the part of the long tests that is in every run
LONGEST_LIFE = 9  # points that a controller of many passes at most
NO_END = -2  # which no point is
Living = Callable[[str, str, Iterable[int]], Line]


@pytest.fixture(scope="module")
def zygote() -> Iterator[subprocess.Popen[str]]:
    """What controllers are forked from."""
    with lives.forking() as process:
        yield process


@pytest.fixture(scope="module")
def living(kubeconfig: Path, zygote: subprocess.Popen[str], rights: Path, tmp_path_factory: pytest.TempPathFactory) -> Living:
    """Lives a life, (name, kind, points): the line that has."""
    place = tmp_path_factory.mktemp("lives")
    return lambda name, life, points: lives.lived(kubeconfig, zygote, rights, place / name, life, points)


@pytest.fixture(scope="module")
def points(living: Living) -> Callable[[str], list[str]]:
    """What there is to die at, of a life without a death."""
    found: dict[str, list[str]] = {}

    def of(life: str) -> list[str]:
        if life not in found:
            line = living(f"{life} without a death", life, ())
            assert not line.deaths
            found[life] = line.journal.read_text().splitlines()
        return found[life]

    return of


@pytest.mark.parametrize("life", LIVES)
def test_many_deaths_in_one_life(living: Living, life: str) -> None:
    """Each controller dies after a few steps, whatever it is at: all of them together do what one would have done."""
    chance = random.Random(life)
    line = living(f"{life} with many deaths", life, iter(lambda: chance.randrange(LONGEST_LIFE), NO_END))
    assert line.deaths > 5


def parts() -> list:
    """Each has every PARTS-th point. A run of all tests has those of many deaths; of these one part."""
    return [pytest.param(life, part, marks=[] if (life, part) == SHORT else [pytest.mark.long]) for life in LIVES for part in range(PARTS)]


@pytest.mark.parametrize(("life", "part"), parts())
def test_death_at_any_point_of_a_life(living: Living, points: Callable[[str], list[str]], life: str, part: int) -> None:
    """Once in a life; the next controller does not die."""
    there = points(life)
    assert len(there) > 40
    for point in range(part, len(there), PARTS):
        line = living(f"{life}, {point}", life, (point,))
        # Several objects are looked at side by side: not every life takes the same number of steps.
        assert line.deaths or point > len(there) - 10, f"point {point} was not reached"
