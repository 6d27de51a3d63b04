"""A broker with Redis servers that are there already, and platforms that keep binding them: the load that several measurements need."""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from bench import place
from bench.broker import Broker

INSTANCES = 4
POLL_SECONDS = 0.2
SCRIPTED = {"type": "redis", "host": "{host}", "port": "{port}", "username": "{username}", "password": "{password}"}
SCRIPTED["uri"] = "redis://{username}:{password}@{host}:{port}"


class Site:
    """Such a broker. No worker runs but while it is asked for; a scripted one needs no servers."""

    def __init__(self, here: place.Place) -> None:
        self.here, self.broker = here, Broker(here)
        self.instances = [str(uuid.uuid4()) for _ in range(INSTANCES)]

    def start(self) -> None:
        """Web server and instances."""
        self.here.serve(self.broker.port, "apb_cli.main", "serve")
        ids = self.ids
        with self.working(1):
            for instance in self.instances:
                self.broker.carry_out("provision", ids, instance, parameters={"memory": 0.1})

    @property
    def ids(self) -> dict[str, str]:
        """Of the service and its plan."""
        return self.broker.ids("redis")

    @contextlib.contextmanager
    def working(self, workers: int, **settings: Any) -> Iterator[None]:
        """That many workers, with these settings, until the end of the block. What they have not begun is taken out of the queue."""
        self.here.configure(settings=settings)
        started = self.here.work(workers)
        try:
            yield
        finally:
            self.clear()
            self.here.end(started)

    def clear(self) -> None:
        """Takes out what nobody has begun, waits for the rest, and forgets what was bound."""
        self.here.sql("DELETE FROM operations WHERE state = 'queued' AND kind = 'bind'")
        self.here.wait(lambda: self.here.sql(LEFT) == [(0,)], 120, "the end of what was begun")
        self.here.sql("DELETE FROM bindings")  # each run knows all that its instance has: the next turn begins as this one did

    @contextlib.contextmanager
    def binding(self, platforms: int) -> Iterator[None]:
        """That many platforms, each of which binds an instance, waits for the end, and binds the next, until the end of the block."""
        over, failures = threading.Event(), list[Exception]()
        ids = self.ids

        def bind(number: int) -> None:
            broker = Broker(self.here)
            try:
                while not over.is_set():
                    instance, binding = self.instances[number % INSTANCES], str(uuid.uuid4())
                    operation = broker.accept("bind", ids, instance, binding)
                    broker.await_end("bind", operation, instance, binding, poll_seconds=POLL_SECONDS, unless=over.is_set)
            except Exception as error:  # told to who waits for us
                failures.append(error)
            finally:
                broker.close()

        threads = [threading.Thread(target=bind, args=(number,), daemon=True) for number in range(platforms)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
        if failures:
            raise RuntimeError(f"a platform has failed: {failures[0]!r}; {self.here.last_words()}")

    def backlog(self, binds: int) -> None:
        """Has that many accepted that are still to be begun."""
        ids = self.ids
        for number in range(binds):
            self.broker.accept("bind", ids, self.instances[number % INSTANCES], str(uuid.uuid4()))

    def ended(self) -> int:
        """How many binds have succeeded."""
        return int(self.here.sql("SELECT count(*) FROM operations WHERE kind = 'bind' AND state = 'succeeded'")[0][0])

    def during(self, seconds: float) -> dict[str, float]:
        """Binds in so many seconds from now on, and what all processes used for each."""
        before, used, began = self.ended(), self.here.cpu_seconds(), time.perf_counter()
        time.sleep(seconds)
        done, took = self.ended() - before, time.perf_counter() - began
        if not done:
            raise RuntimeError(f"nothing was bound in {seconds:g} s: {self.here.last_words()}")
        return {"per_second": done / took, "cpu_seconds": (self.here.cpu_seconds() - used) / done}


LEFT = "SELECT count(*) FROM operations WHERE state IN ('queued', 'running')"


@contextlib.contextmanager
def site(number: int = 0) -> Iterator[Site]:
    """A site that nothing is left of. Its runs are of the executor that `working` is told, or they follow a script that succeeds."""
    with place.place() as here:
        here.fill(
            place.free_range(100, number),
            roles=[
                {"name": "apb.catalog.redis", "settings": {"scripted": {"actions": {"bind": {"published": {"credentials": SCRIPTED}}}}}}
            ],
            settings={"verify_every_seconds": 0, "executor": "cold"},
        )
        here.prepare_host()
        made = Site(here)
        try:
            made.start()
            yield made
        finally:
            made.broker.close()
