"""Runs that no operation stands for, some at a time, each to its end."""

import selectors
import time
from collections.abc import Iterable, Iterator

from apb_broker import execution
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work
from apb_broker.worker import jobs

RENEW_SECONDS = 1.0


def each(broker: Broker, works: Iterable[Work]) -> Iterator[tuple[Work, execution.Outcome]]:
    """All of them, as many at a time as a worker does; each as it ends. Only from the main thread."""
    waiting, running = list(works), dict[execution.Run, Work]()
    try:
        while waiting or running:
            while waiting and len(running) < broker.settings.concurrency:
                work = waiting.pop(0)
                try:
                    running[execution.start(jobs.build(broker, work))] = work
                except (jobs.Unrunnable, execution.JobError, OSError) as error:
                    yield work, execution.Outcome("failed", message=str(error))
            for run, outcome in _ended(running):
                run.close()
                yield running.pop(run), outcome
    finally:
        for run in running:
            run.close()


def one(broker: Broker, work: Work) -> execution.Outcome:
    """One alone."""
    return next(outcome for _work, outcome in each(broker, [work]))


def _ended(running: dict[execution.Run, Work]) -> list[tuple[execution.Run, execution.Outcome]]:
    """Those that have ended when one has said something, or it is time to renew."""
    if not running:
        return []
    until = time.monotonic() + RENEW_SECONDS
    with selectors.DefaultSelector() as selector:
        for run in running:
            run.renew()
            selector.register(run, selectors.EVENT_READ)
        selector.select(max(until - time.monotonic(), 0))
    messages = [(run, message) for run in running for message in run.read()]
    return [(run, message) for run, message in messages if isinstance(message, execution.Outcome)]
