"""Prometheus metrics: requests, counted by each web process; operations, queue and workers, read from the database when they are asked for.

With several web processes (`apb serve`), each keeps its counts in a file of PROMETHEUS_MULTIPROC_DIR, which has to be set before this
module is imported; prometheus_client adds them up.
"""

import functools
import os
import time
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, g
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from apb_broker.lifecycle import fleet
from apb_broker.lifecycle.broker import Broker
from apb_broker.web import current
from apb_broker.web.current import broker

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
NO_ROUTE = "none"

blueprint = Blueprint("metrics", __name__)
requests = Histogram(
    "apb_http_request_duration_seconds",
    "Requests by route and status",
    ["method", "route", "code"],
    registry=None,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)


def register(app: Flask) -> None:
    """Counts every request, from `g.began` on (web.requestlog), and adds /metrics."""
    app.register_blueprint(blueprint)

    @app.after_request
    def count(response: Response) -> Response:
        asked = current.asked()
        rule = asked.url_rule
        method, route = (NO_ROUTE, NO_ROUTE) if rule is None else (asked.method, rule.rule)  # ours alone, never a stranger's
        _series(method, route, response.status_code).observe(time.perf_counter() - g.began)
        return response


@functools.cache
def _series(method: str, route: str, status: int) -> Histogram:
    return requests.labels(method, route, status)


@blueprint.get("/metrics")
def metrics() -> Response:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    if DIRECTORY in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(requests)
    registry.register(Operations(broker()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Operations(Collector):
    """What the database knows."""

    def __init__(self, of: Broker) -> None:
        self._broker = of

    def collect(self) -> Iterator[Metric]:
        """One look at the database, all that is in it."""
        found = fleet.figures(self._broker)
        yield _durations(found.ended)
        yield _gauge(
            "apb_queue_operations", "Operations that have still to end", {"queued": found.queue.queued, "running": found.queue.running}
        )
        yield GaugeMetricFamily(
            "apb_queue_oldest_seconds", "How long the oldest queued operation has waited beyond its time", found.queue.oldest_seconds
        )
        yield GaugeMetricFamily("apb_leases_lost", "Running operations whose worker has not renewed its lease in time", found.queue.lost)
        yield GaugeMetricFamily("apb_workers", "Workers heard of lately", found.alive)
        yield GaugeMetricFamily("apb_workers_capacity", "Operations that these workers run at a time", found.capacity)
        yield _instances(found.instances)
        yield _gauge("apb_worker_silent_seconds", "Seconds since a worker was last heard of", found.workers, "worker")


def _gauge(name: str, text: str, values: dict[str, float], label: str = "state") -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _instances(found: tuple[tuple[str, str, str, int], ...]) -> Metric:
    family = GaugeMetricFamily("apb_instances", "Instances, by how they were last found", labels=["service", "plan", "health"])
    for service, plan, health, number in found:
        family.add_metric([service, plan, health], number)
    return family


def _durations(ended: tuple[fleet.Ended, ...]) -> Metric:
    family = HistogramMetricFamily(
        "apb_operation_duration_seconds",
        "Operations that ended, by what became of them: seconds from acceptance",
        labels=["service", "plan", "action", "outcome"],
    )
    for one in ended:
        total, buckets = 0, []
        for bound, count in zip((*map(str, fleet.BOUNDS), "+Inf"), one.counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([one.service, one.plan, one.action, one.outcome], buckets, one.seconds)
    return family
