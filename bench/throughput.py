"""How many operations a second some workers carry out, and what each costs.

    python -m bench.throughput [--workers N …] [--executors NAME …] [--seconds S] [--rounds N] [--json FILE]

Bindings of real Redis servers, by 1, 2, 4 and 8 workers that run one operation at a time, with twice as many platforms as workers, so that
something is always queued. The baseline of each executor is `cold` with as many workers, in the same round: see bench/README.md.
"""

import argparse
import time
from typing import Any

from bench import redis_site, report

BASELINE = "cold"
TARGET = {"executor": "warm", "workers": 4, "per_second": 8.0}  # on two cores
WARM_UP_SECONDS = 3.0
PLATFORMS = 2  # to each worker


def measured(site: redis_site.Site, executor: str, workers: int, seconds: float) -> dict[str, float]:
    """One turn."""
    with site.working(workers, executor=executor, concurrency=1), site.binding(PLATFORMS * workers):
        time.sleep(WARM_UP_SECONDS)
        return site.during(seconds)


def result(executor: str, workers: int, ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> report.Report:
    """One line; the ratio of throughputs to the baseline's, and that of processor times."""
    rates = report.ratios(*([each["per_second"] for each in side] for side in (ours, theirs)))
    costs = report.ratios(*([each["cpu_seconds"] for each in side] for side in (ours, theirs)))
    return {"executor": executor, "workers": workers, **report.medians(ours), **rates, "cpu_ratio": costs["ratio"]}


def run(options: argparse.Namespace) -> report.Report:
    """Starts everything, measures, ends everything."""
    with redis_site.site() as site:
        return run_on(site, options)


def run_on(site: redis_site.Site, options: argparse.Namespace) -> report.Report:
    """All turns on a site that is there."""
    turns = [(executor, workers) for workers in options.workers for executor in options.executors]
    found: dict[tuple[str, int], list[dict[str, float]]] = {turn: [] for turn in turns}
    for number in range(-options.warm_up, options.rounds):
        for executor, workers in report.turns(turns, number):
            figures = measured(site, executor, workers, options.seconds)
            if number >= 0:
                found[executor, workers].append(figures)
    baseline = BASELINE if BASELINE in options.executors else options.executors[0]
    results = [result(*turn, found[turn], found[baseline, turn[1]]) for turn in turns]
    return {"settings": report.settings(options, baseline=baseline), "results": results, "target": TARGET}


def table(found: report.Report) -> str:
    """The report for people."""
    headings = (
        "workers",
        "executor",
        "binds/s",
        f"to {found['settings']['baseline']}",
        "CPU s each",
        f"to {found['settings']['baseline']}",
    )
    rows = [
        (
            each["workers"],
            each["executor"],
            f"{each['per_second']:.2f}",
            f"{each['ratio']:.2f}",
            f"{each['cpu_seconds']:.2f}",
            f"{each['cpu_ratio']:.2f}",
        )
        for each in found["results"]
    ]
    return "\n".join([report.table(headings, rows), *_targets(found["results"])])


def _targets(results: list[dict[str, Any]]) -> list[str]:
    reached = [each["per_second"] for each in results if (each["executor"], each["workers"]) == (TARGET["executor"], TARGET["workers"])]
    text = f"target: {TARGET['executor']}, {TARGET['workers']} workers, two cores, at least {TARGET['per_second']:g} binds/s: "
    return [f"{text}{rate:.1f}, {report.verdict(met=rate >= float(str(TARGET['per_second'])))}" for rate in reached]


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = report.parser("throughput", __doc__, rounds=3, warm_up=0)
    report.add_executors(made)
    made.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8])
    made.add_argument("--seconds", type=float, default=15.0, help="of each turn, after a time to warm up")
    return made


def main() -> None:
    """The command."""
    report.command(parser().parse_args(), run, table)


if __name__ == "__main__":
    main()
