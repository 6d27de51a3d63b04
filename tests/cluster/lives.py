"""Whole lives of a broker, an instance and a binding, which controllers of one line carry out: each follows the one that has died.

A life is what a broker does with each call (`LIVES`); what a user does is the same in all of them (`lived`).
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from apb_controller.rules.answers import Call
from tests.brokers import scripted
from tests.brokers.scripted import Fail, Started
from tests.cluster import account, offers
from tests.cluster.catalog import Catalog, condition

INSTANCE, BINDING = "ServiceInstance", "ServiceBinding"
NO_POINT = -1
SECONDS, PAUSE_SECONDS = 60, 0.03
CALLS = (Call.PROVISION, Call.UPDATE, Call.DEPROVISION, Call.BIND, Call.UNBIND)
MADE = (Call.PROVISION, Call.BIND)
BEGUN = Started(polls=1, retry_after=1)


def _at_once(_broker: scripted.Broker) -> None:
    """Each call is carried out while it is made."""


def _begun(broker: scripted.Broker) -> None:
    """Each is begun, and the broker asked how far it is."""
    for call in CALLS:
        broker.script(call, BEGUN, times=None)


def _orphans(broker: scripted.Broker) -> None:
    """The first instance and the first binding are made, and 500 is told: they are orphans. Removing one succeeds at the second try."""
    for call in MADE:
        broker.script(call, Fail(500, does_it=True))
    for call in (Call.UPDATE, Call.DEPROVISION, Call.UNBIND):
        broker.script(call, Fail(500))


def _begun_orphans(broker: scripted.Broker) -> None:
    """The same with all that is begun only: what is told as 500 goes on at the broker, and the removal too."""
    _begun(broker)
    for call in (*MADE, Call.UPDATE):
        broker.script(call, Fail(500, does_it=BEGUN))
    for call in (Call.DEPROVISION, Call.UNBIND):
        broker.script(call, Fail(500))


LIVES: Mapping[str, Callable[[scripted.Broker], None]] = {
    "at once": _at_once,
    "begun": _begun,
    "orphans": _orphans,
    "begun orphans": _begun_orphans,
}


class Line:
    """Controllers of one life. `points`: where each of them dies; when there are no more, one lives on."""

    def __init__(self, zygote: subprocess.Popen[str], rights: Path, place: Path, points: Iterable[int]) -> None:
        self._zygote, self._rights, self._place = zygote, rights, place
        self._points = iter(points)
        self.deaths = 0
        self._pid = self._begin()

    @property
    def journal(self) -> Path:
        """What the one that is at work now has passed."""
        return self._place / f"journal-{self.deaths}"

    def _begin(self) -> int:
        options = ["--kubeconfig", self._rights, "--no-lease", "--namespace", account.NAMESPACE, "--metrics", "", "--stop-seconds", "5"]
        assert self._zygote.stdin and self._zygote.stdout
        words = (self.journal, next(self._points, NO_POINT), self._place / "log", *options)
        self._zygote.stdin.write(shlex.join(str(one) for one in words) + "\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())

    def look(self) -> None:
        """Follows the one that has died."""
        if not Path(f"/proc/{self._pid}").exists():
            self.deaths += 1
            self._pid = self._begin()

    def end(self) -> None:
        """SIGTERM, and its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        give_up = time.monotonic() + SECONDS
        while Path(f"/proc/{self._pid}").exists():
            assert time.monotonic() < give_up, "the controller does not end"
            time.sleep(PAUSE_SECONDS)


@contextlib.contextmanager
def forking() -> Iterator[subprocess.Popen[str]]:
    """What controllers are forked from."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.dying"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    assert process.stdin and process.stdout
    process.stdin.close()
    process.wait(SECONDS)
    process.stdout.close()


def lived(kubeconfig: Path, zygote: subprocess.Popen[str], rights: Path, place: Path, life: str, points: Iterable[int]) -> Line:
    """One life, in a namespace of its own."""
    place.mkdir(parents=True)
    space = Catalog(kubeconfig, f"life-{time.time_ns()}")
    space.core.create_namespace({"metadata": {"name": space.namespace}})
    with contextlib.closing(scripted.Broker()) as broker:
        LIVES[life](broker)
        line = Line(zygote, rights, place, points)
        try:
            _live(space, broker, line)
        except AssertionError as error:
            log = (place / "log").read_text()[-3000:]
            calls = [(each.call.value if each.call else None, each.key, each.answer) for each in broker.calls()]
            raise AssertionError(f"{place.name}: {error}\n{calls}\n{log}") from error
        finally:
            line.end()
    space.core.delete_namespace(space.namespace)
    return line


def _live(space: Catalog, broker: scripted.Broker, line: Line) -> None:
    """Broker, instance, binding; an update; the end of all three: each time everything is wanted at once."""
    space.create("ServiceBroker", "broker", {"url": broker.url})
    offers.instance(space, words=offers.DATABASE, parameters={"size": 1})
    offers.binding(space)
    _until(line, lambda: _is_ready(space, BINDING, "InjectedBindResult"), "the binding")
    assert "password" in space.credentials("one")
    space.patch(INSTANCE, "one", {"parameters": {"size": 2}})
    _until(line, lambda: _is_ready(space, INSTANCE, "InstanceUpdatedSuccessfully"), "the update")
    [made] = broker.ledger.instances.values()
    assert made.parameters == {"size": 2}
    for kind, name in ((BINDING, "one"), (INSTANCE, "one"), ("ServiceBroker", "broker")):
        space.delete(kind, name)
    kinds = ("ServiceBroker", "ServiceClass", "ServicePlan", INSTANCE, BINDING)
    _until(line, lambda: not any(space.list(kind) for kind in kinds), "the end")
    assert space.secret("one") is None
    broker.assert_clean()


def _until(line: Line, holds: Callable[[], bool], what: str) -> None:
    """Waits for it, and follows the dead meanwhile."""
    give_up = time.monotonic() + SECONDS
    while not holds():
        line.look()
        assert time.monotonic() < give_up, f"{what} did not come within {SECONDS} s"
        time.sleep(PAUSE_SECONDS)


def _is_ready(space: Catalog, kind: str, reason: str) -> bool:
    found = space.get(kind, "one")
    return found is not None and (condition(found).get("status"), condition(found).get("reason")) == ("True", reason)
