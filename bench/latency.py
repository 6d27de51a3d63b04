"""How long a platform waits for an answer while the workers are busy, next to how long it waits when they are not.

    python -m bench.latency [--rate N] [--seconds S] [--executors NAME …] [--rounds N] [--json FILE]

Bindings are accepted at a steady rate, far below what the web server can do, while workers on the same machine carry out as many as
they can. The baseline is the same rate without a worker, in the same round: see bench/README.md.
"""

import argparse
from collections.abc import Iterator

from bench import client, redis_site, report

IDLE, SCRIPTED = "idle", "scripted"
CONNECTIONS = 4
BACKLOG = 2  # operations for each that the workers run at a time, before the first request is timed


def accepted(site: redis_site.Site, options: argparse.Namespace) -> dict[str, float]:
    """One turn of the load generator."""
    instances = (f"/v2/service_instances/{each}/service_bindings/{client.NEW_ID.decode()}" for each in site.instances)
    return client.measured(
        port=site.broker.port,
        status=202,
        requests=[site.broker.request("PUT", f"{path}?accepts_incomplete=true", site.ids) for path in instances],
        seconds=options.seconds,
        connections=CONNECTIONS,
        pause_seconds=CONNECTIONS / options.rate,
    )


def measured(site: redis_site.Site, name: str, options: argparse.Namespace) -> dict[str, float]:
    """One turn: without a worker, or with busy ones."""
    if name == IDLE:
        found = accepted(site, options)
        site.clear()
        return found
    with site.working(options.workers, executor=name, concurrency=options.concurrency):
        site.backlog(BACKLOG * options.workers * options.concurrency)
        before = site.ended()
        found = accepted(site, options)
        return {**found, "ended_per_second": (site.ended() - before) / options.seconds}


def run(options: argparse.Namespace) -> report.Report:
    """Starts everything, measures, ends everything."""
    with redis_site.site() as site:
        return run_on(site, options)


def run_on(site: redis_site.Site, options: argparse.Namespace) -> report.Report:
    """All turns on a site that is there."""
    names = [IDLE, SCRIPTED, *options.executors]
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(-options.warm_up, options.rounds):
        for name in report.turns(names, number):
            found = measured(site, name, options)
            if number >= 0:
                rounds[name].append(found)
    return {"settings": report.settings(options), "results": [result(name, rounds) for name in names]}


def result(name: str, rounds: dict[str, list[dict[str, float]]]) -> report.Report:
    """One line: medians, and how they stand to those without a worker."""
    compared: Iterator[tuple[str, report.Report]] = (
        (figure, report.ratios(*([each[figure] for each in side] for side in (rounds[name], rounds[IDLE]))))
        for figure in ("p50_ms", "p99_ms")
    )
    return {"workers": name, **report.medians(rounds[name]), **{f"{figure}_ratio": found["ratio"] for figure, found in compared}}


def table(found: report.Report) -> str:
    """The report for people."""
    headings = ("workers", "accepted/s", "p50 ms", "to idle", "p99 ms", "to idle", "carried out/s")
    rows = [
        (
            each["workers"],
            f"{each['per_second']:.1f}",
            f"{each['p50_ms']:.1f}",
            f"{each['p50_ms_ratio']:.2f}",
            f"{each['p99_ms']:.1f}",
            f"{each['p99_ms_ratio']:.2f}",
            f"{each.get('ended_per_second', 0):.1f}",
        )
        for each in found["results"]
    ]
    return report.table(headings, rows)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = report.parser("latency", __doc__, rounds=5)
    report.add_executors(made)
    made.add_argument("--rate", type=float, default=20.0, help="requests a second")
    made.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    made.add_argument("--workers", type=int, default=1)
    made.add_argument("--concurrency", type=int, default=4, help="of each worker")
    return made


def main() -> None:
    """The command."""
    report.command(parser().parse_args(), run, table)


if __name__ == "__main__":
    main()
