"""How much memory the broker's processes take, idle and busy.

    python -m bench.memory [--executors NAME …] [--seconds S] [--json FILE]

In MB, as the kernel tells it: PSS counts what processes share once, RSS in each. The baseline is a bare `ansible-playbook` that binds the
same Redis: what a run takes at its highest. See bench/README.md.
"""

import argparse
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from bench import playbook, processes, redis_site, report

SETTLE_SECONDS = 3.0
SAMPLE_SECONDS = 0.1
RUNS = "runs"
KINDS = {
    processes.SUPERVISOR: RUNS,
    processes.WARM: "warm process",
    "apb_cli.main worker": "worker",
    "apb_cli.main serve": "web",
    "postgres": "postgresql",
}

Memory = dict[str, dict[str, float]]


def kind(process: psutil.Process) -> str | None:
    """What a process is: by its own command line, or by that of the nearest of its ancestors that says."""
    for one in (process, *process.parents()):
        words = " ".join(one.cmdline())
        for mark, name in KINDS.items():
            if mark in words:
                return name
    return None


def highest(sample: Callable[[], Memory], until: Callable[[], bool]) -> Memory:
    """The sample of each kind whose PSS was the highest."""
    found: Memory = {}
    while not until():
        for name, figures in sample().items():
            if figures["pss"] > found.get(name, {"pss": 0.0})["pss"]:
                found[name] = figures
        time.sleep(SAMPLE_SECONDS)
    return found


def of_broker(site: redis_site.Site, executor: str, options: argparse.Namespace) -> dict[str, Memory]:
    """Idle, and busy with as many operations at a time as the worker takes."""

    def sample() -> Memory:
        return processes.memory_mb(site.here.roots(), kind)

    with site.working(1, executor=executor, concurrency=options.concurrency):
        time.sleep(SETTLE_SECONDS)
        idle = sample()
        with site.binding(2 * options.concurrency):
            over = time.monotonic() + options.seconds
            return {"idle": idle, "busy": highest(sample, lambda: time.monotonic() > over)}


def of_playbook(site: redis_site.Site) -> dict[str, float]:
    """One bare run that binds."""
    found: Memory = {}

    def watch(pid: int) -> None:
        process = psutil.Process(pid)
        found.update(highest(lambda: processes.memory_mb([pid], lambda _process: RUNS), lambda: process.status() == psutil.STATUS_ZOMBIE))

    bare = playbook.Bare(site.here)
    try:
        bare.carry_out("bind", site.ids, site.instances[0], str(uuid.uuid4()), watch=watch)
    finally:
        bare.close()
    return found[RUNS]


def run(options: argparse.Namespace) -> report.Report:
    """Starts everything, measures, ends everything."""
    with redis_site.site() as site:
        return run_on(site, options)


def run_on(site: redis_site.Site, options: argparse.Namespace) -> report.Report:
    """On a site that is there."""
    results = [{"executor": executor, **of_broker(site, executor, options)} for executor in options.executors]
    return {"settings": report.settings(options), "baseline": of_playbook(site), "results": results}


def table(found: report.Report) -> str:
    """The report for people."""
    headings = ("executor", "process", "idle PSS MB", "RSS", "processes", "busy PSS MB", "RSS", "processes")
    rows: list[tuple[Any, ...]] = []
    for each in found["results"]:
        for name in sorted({*each["idle"], *each["busy"]}):
            cells = (_cells(each[when].get(name)) for when in ("idle", "busy"))
            rows.append((each["executor"], name, *(cell for line in cells for cell in line)))
    baseline = found["baseline"]
    rest = f"baseline: one ansible-playbook with what it starts, at its highest: PSS {baseline['pss']:.0f} MB, RSS {baseline['rss']:.0f} MB"
    return f"{report.table(headings, rows)}\n{rest}"


def _cells(figures: dict[str, float] | None) -> Iterable[str]:
    return ("-", "-", "-") if figures is None else (f"{figures['pss']:.0f}", f"{figures['rss']:.0f}", f"{figures['processes']:.0f}")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = report.parser("memory", __doc__, rounds=1)
    report.add_executors(made)
    made.add_argument("--seconds", type=float, default=20.0, help="how long they are busy")
    made.add_argument("--concurrency", type=int, default=4, help="operations that the worker runs at a time")
    return made


def main() -> None:
    """The command."""
    report.command(parser().parse_args(), run, table)


if __name__ == "__main__":
    main()
