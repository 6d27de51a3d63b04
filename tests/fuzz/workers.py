"""What workers would do meanwhile: operations are claimed and end in every way; all ends well while a caller waits within a request."""

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.fuzz.sensible import Plans

SUCCESS, FAILED = scenarios.SUCCESS, Result("failed", message="it was told to fail")
LOST = Result("lost", message="it was told to be lost")
ENDS = [SUCCESS] * 8 + [FAILED, LOST]
HELD = 3


class Workers:
    """All workers of a broker, in one object that does as much as it is told to."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._held = broker, list[Work]()

    def forget(self) -> None:
        """After the database was emptied."""
        self._held.clear()

    def make(self, instance_ids: list[str], binding_id: str) -> None:
        """Instances with a binding each."""
        plans = Plans(self._broker)
        for instance_id in instance_ids:
            service_id, plan_id, _plan = plans.of(instance_id)
            scenarios.provision(self._broker, instance_id, service_id=service_id, plan_id=plan_id, organization="here", space="here")
            self.work_off()
            scenarios.bind(self._broker, instance_id, binding_id, service_id=None, plan_id=None)
            self.work_off()

    def work_a_little(self, chance: random.Random) -> None:
        """Claims some of what is due, ends some of what was claimed."""
        while len(self._held) < HELD and self._claim():
            pass
        while self._held and chance.random() < 0.6:
            self._end(self._held.pop(chance.randrange(len(self._held))), chance.choice(ENDS))

    def work_off(self) -> bool:
        """Ends everything well that can be ended now; whether there was anything."""
        self._claim()
        ended = bool(self._held)
        while self._held:
            self._end(self._held.pop(), SUCCESS)
        return ended

    @contextlib.contextmanager
    def busily(self) -> Iterator[None]:
        """Everything ends well, as soon as it is accepted, until the end of the block."""
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                if not self.work_off():
                    over.wait(0.01)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(30)
            while self.work_off():
                pass

    def _claim(self) -> bool:
        work = operations.claim(self._broker, "worker")
        self._held += [] if work is None else [work]
        return work is not None

    def _end(self, work: Work, result: Result) -> None:
        if work.kind == "bind" and result is SUCCESS:
            result = Result("succeeded", {"credentials": credentials(work)})
        operations.finish(self._broker, work.operation_id, work.epoch, result)


def credentials(work: Work) -> dict[str, Any]:
    """What a role would publish for this binding: all that any of the offered services asks for."""
    service, account = work.variables["apb_service"], work.variables["apb_binding"]
    connection = work.variables["apb_instance"]["connection"]
    made: dict[str, Any] = {"type": service, "username": account["username"], "password": account["password"], **connection}
    login = f"{made['username']}:{made['password']}@{made['host']}:{made['port']}"
    if "database" in made:
        return {**made, "sslmode": "prefer", "uri": f"{service}://{login}/{made['database']}"}
    return {**made, "uri": f"{service}://{login}"}
