"""kill -9 of the controller between any two of its writes and calls: the next one goes on, nothing is made twice, nothing is left."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apb_controller.rules.answers import Call
from tests.brokers import scripted
from tests.brokers.scripted import Started
from tests.cluster import account, offers
from tests.cluster.catalog import Catalog, condition

pytestmark = pytest.mark.cluster
INSTANCE, BINDING = "ServiceInstance", "ServiceBinding"
NO_POINT = -1
PARTS = 8
SECONDS, PAUSE_SECONDS = 60, 0.03
CALLS = (Call.PROVISION, Call.UPDATE, Call.DEPROVISION, Call.BIND, Call.UNBIND)


class Line:
    """Controllers of one life, one after the other: when the one that is to die has died, the next one begins."""

    def __init__(self, zygote: subprocess.Popen[str], rights: Path, place: Path, point: int) -> None:
        self._zygote, self._rights, self._place = zygote, rights, place
        self.journal = place / "journal"
        self.has_died = False
        self._pid = self._begin(self.journal, point)

    def _begin(self, journal: Path, point: int) -> int:
        options = ["--kubeconfig", self._rights, "--no-lease", "--namespace", account.NAMESPACE, "--metrics", "", "--stop-seconds", "5"]
        assert self._zygote.stdin and self._zygote.stdout
        self._zygote.stdin.write(shlex.join(str(one) for one in (journal, point, self._place / "log", *options)) + "\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())

    def look(self) -> None:
        """Follows the one that has died."""
        if not self.has_died and not Path(f"/proc/{self._pid}").exists():
            self.has_died = True
            self._pid = self._begin(self._place / "journal-of-the-next", NO_POINT)

    def end(self) -> None:
        """SIGTERM, and its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        give_up = time.monotonic() + SECONDS
        while Path(f"/proc/{self._pid}").exists():
            assert time.monotonic() < give_up, "the controller does not end"
            time.sleep(PAUSE_SECONDS)


@pytest.fixture(scope="module")
def zygote() -> Iterator[subprocess.Popen[str]]:
    """What controllers are forked from."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.dying"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    assert process.stdin and process.stdout
    process.stdin.close()
    process.wait(SECONDS)
    process.stdout.close()


def until(line: Line, holds, what: str) -> None:
    """Waits for it, and follows the dead meanwhile."""
    give_up = time.monotonic() + SECONDS
    while not holds():
        line.look()
        assert time.monotonic() < give_up, f"{what} did not come within {SECONDS} s"
        time.sleep(PAUSE_SECONDS)


def is_ready(space: Catalog, kind: str, reason: str) -> bool:
    found = space.get(kind, "one")
    return found is not None and (condition(found).get("status"), condition(found).get("reason")) == ("True", reason)


def life(space: Catalog, broker: scripted.Broker, line: Line) -> None:
    """Broker, instance, binding; an update; the end of all three: each time everything is wanted at once."""
    space.create("ServiceBroker", "broker", {"url": broker.url})
    offers.instance(space, words=offers.DATABASE, parameters={"size": 1})
    offers.binding(space)
    until(line, lambda: is_ready(space, BINDING, "InjectedBindResult"), "the binding")
    assert "password" in space.credentials("one")
    space.patch(INSTANCE, "one", {"parameters": {"size": 2}})
    until(line, lambda: is_ready(space, INSTANCE, "InstanceUpdatedSuccessfully"), "the update")
    [made] = broker.ledger.instances.values()
    assert made.parameters == {"size": 2}
    for kind, name in ((BINDING, "one"), (INSTANCE, "one"), ("ServiceBroker", "broker")):
        space.delete(kind, name)
    until(
        line, lambda: not any(space.list(kind) for kind in ("ServiceBroker", "ServiceClass", "ServicePlan", INSTANCE, BINDING)), "the end"
    )
    assert space.secret("one") is None
    broker.assert_clean()


def lived(kubeconfig: Path, zygote: subprocess.Popen[str], rights: Path, place: Path, point: int, *, is_async: bool) -> Line:
    """One life, in a namespace of its own."""
    place.mkdir()
    space = Catalog(kubeconfig, f"life-{time.time_ns()}")
    space.core.create_namespace({"metadata": {"name": space.namespace}})
    with contextlib.closing(scripted.Broker()) as broker:
        if is_async:
            for call in CALLS:
                broker.script(call, Started(polls=1, retry_after=1), times=None)
        line = Line(zygote, rights, place, point)
        try:
            life(space, broker, line)
        except AssertionError as error:
            log = (place / "log").read_text()[-3000:]
            calls = [(each.call.value if each.call else None, each.key, each.answer) for each in broker.calls()]
            raise AssertionError(f"point {point}: {error}\n{calls}\n{log}") from error
        finally:
            line.end()
    space.core.delete_namespace(space.namespace)
    return line


def parts(of_short: int) -> list:
    """Each has every PARTS-th point; the first ones are in every run."""
    return [pytest.param(part, marks=[] if part < of_short else [pytest.mark.long]) for part in range(PARTS)]


@pytest.fixture(scope="module")
def points(
    kubeconfig: Path, zygote: subprocess.Popen[str], rights: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, list[str]]:
    """What there is to die at, by whether the broker answers at once: of a life without a death."""
    place = tmp_path_factory.mktemp("points")
    found = {}
    for is_async in (False, True):
        line = lived(kubeconfig, zygote, rights, place / str(is_async), NO_POINT, is_async=is_async)
        assert not line.has_died
        found[is_async] = line.journal.read_text().splitlines()
    return found


@pytest.mark.parametrize("part", parts(PARTS // 2))
def test_death_at_any_point_of_a_life(kubeconfig, zygote, rights, tmp_path, points, part: int) -> None:
    """With a broker that answers at once."""
    assert len(points[False]) > 40
    for point in range(part, len(points[False]), PARTS):
        line = lived(kubeconfig, zygote, rights, tmp_path / str(point), point, is_async=False)
        # Several objects are looked at side by side: not every life takes the same number of steps.
        assert line.has_died or point > len(points[False]) - 10, f"point {point} was not reached"


@pytest.mark.parametrize("part", parts(1))
def test_death_at_any_point_of_an_asynchronous_life(kubeconfig, zygote, rights, tmp_path, points, part: int) -> None:
    """With a broker that works on everything, and is asked how far it is."""
    assert len(points[True]) > 60
    for point in range(part, len(points[True]), PARTS):
        line = lived(kubeconfig, zygote, rights, tmp_path / str(point), point, is_async=True)
        # Several objects are looked at side by side: not every life takes the same number of steps.
        assert line.has_died or point > len(points[True]) - 10, f"point {point} was not reached"
