"""The service catalog controller: its start with many instances, what it needs at rest, and how many instances it makes in a second.

    python -m bench.controller [--instances N] [--made N] [--rounds N] [--quiet-seconds S] [--json FILE]

On a real API server with etcd, and a broker that answers at once; all share the machine's processors. Baselines: a bare program that reads
the same objects and keeps them, and one that writes as many times as the controller.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from typing import Any

from bench import cluster, controlled, processes, report

START_SECONDS, MEMORY_MB, PER_SECOND = 5.0, 200.0, 50.0  # the targets
REST_SECONDS = 60
LOAD = "load-"
POLL_SECONDS = 0.2  # a list of all costs what some instances cost


def run(options: argparse.Namespace) -> report.Report:
    """Starts everything, measures, ends everything."""
    with controlled.site() as site:
        asyncio.run(site.fill(1))
        made = [making(site, options.made, number) for number in range(-options.warm_up, options.rounds)][options.warm_up :]
        asyncio.run(site.fill(options.instances))
        starts = [starting(site, options.instances, options.quiet_seconds) for _ in range(options.rounds)]
    return {
        "settings": report.settings(options),
        "targets": {"seconds": START_SECONDS, "memory": MEMORY_MB, "per_second": PER_SECOND},
        "start": summed(starts),
        "making": summed(made),
    }


def summed(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of what is a figure; the rest is the last round's, the rounds' main figures are kept."""
    figures = report.medians([{name: value for name, value in each.items() if isinstance(value, int | float)} for each in rounds])
    return {**rounds[-1], **figures, "rounds": [{name: each[name] for name in figures} for each in rounds]}


def starting(site: controlled.Site, instances: int, quiet_seconds: float) -> dict[str, Any]:
    """From the start of the process until it is at rest, and what it writes then, when nothing has changed."""
    before = asyncio.run(written(site))
    with site.controller() as controller:
        seconds = controller.await_idle(instances)
        cpu = processes.cpu_seconds([controller.process.pid])
        processes.await_rest([controller.process.pid], REST_SECONDS)
        time.sleep(quiet_seconds)
        at_rest = (processes.cpu_seconds([controller.process.pid]) - cpu) / (time.monotonic() - controller.began - seconds)
        memory = controller.memory()
    after = asyncio.run(written(site))
    writes = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    bare = baseline(site, "read")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "cpu_at_rest": at_rest,
        **memory,
        "writes": sum(writes.values()),
        "written": writes,
        "bare_seconds": bare["seconds"],
        "bare_pss": bare["pss"],
    }


async def written(site: controlled.Site) -> dict[str, float]:
    """What the API server has written so far."""
    async with cluster.Client(site.plane.kubeconfig) as client:
        return await client.writes()


def baseline(site: controlled.Site, *what: str) -> dict[str, float]:
    """The bare program, and what it took."""
    command = [sys.executable, "-m", "bench.bare_catalog", str(site.plane.kubeconfig), *what]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def making(site: controlled.Site, count: int, number: int) -> dict[str, Any]:
    """Instances that are all wanted at once, until they are ready; and their removal."""
    with site.controller() as controller:
        controller.await_idle(1)
        made = asyncio.run(made_and_removed(site, controller, count, f"{LOAD}{number + 1}-"))
    writes = sum(value for name, value in made["calls"].items() if name.split()[0] in cluster.WRITES)
    names = asyncio.run(plain(site, count))
    bare = baseline(site, "write", str(max(1, round(writes))), *names)
    return {**made, "bare_per_second": count / bare["seconds"]}


async def made_and_removed(site: controlled.Site, controller: controlled.Controller, count: int, prefix: str) -> dict[str, Any]:
    """Figures of both."""
    names = [f"{prefix}{number}" for number in range(count)]
    async with cluster.Client(site.plane.kubeconfig) as client:
        before, called, asked = site.cpu_seconds(controller), controller.metrics(), site.broker.summary()["calls"]
        began = time.monotonic()
        await cluster.all_of(names, lambda name: client.call("POST", controlled.INSTANCES, controlled.instance(name)))
        posted = time.monotonic()
        created = site.broker.summary()["creations"]
        await controlled.wait_until(lambda: is_made(site, client, count, prefix), "the instances", POLL_SECONDS)
        ended = time.monotonic()
        after, now, broker = site.cpu_seconds(controller), controller.metrics(), site.broker.summary()["calls"]
        await cluster.all_of(names, lambda name: client.call("DELETE", f"{controlled.INSTANCES}/{name}"))
        await controlled.wait_until(lambda: are_removed(site, client, prefix), "their removal", POLL_SECONDS)
        gone = time.monotonic()
    return {
        "per_second": count / (ended - began),
        "posting_seconds": posted - began,
        "made_while_posting": created,
        "removed_per_second": count / (gone - ended),
        "cpu_ms": {name: (after[name] - before[name]) / count * 1000 for name in after},
        "calls": per_instance(called, now, count),
        "broker_calls": {name: (value - asked.get(name, 0)) / count for name, value in broker.items() if value != asked.get(name, 0)},
    }


async def is_made(site: controlled.Site, client: cluster.Client, count: int, prefix: str) -> bool:
    """Whether all are ready. Who asks the broker first asks the API server less."""
    if site.broker.summary()["instances"] < count + 1:
        return False
    return await controlled.are_ready(client, count, prefix)


async def are_removed(site: controlled.Site, client: cluster.Client, prefix: str) -> bool:
    """Whether none is left; also here the broker is asked first."""
    return site.broker.summary()["instances"] <= 1 and await controlled.are_gone(client, prefix)


def per_instance(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """{verb kind: the controller's requests to the API server for one instance}."""
    found: dict[str, float] = {}
    for name, value in after.items():
        if name.startswith("apb_controller_api_requests_total{"):
            labels = dict(part.split("=", 1) for part in name[name.index("{") + 1 : -1].split(","))
            call = f"{labels['verb']} {labels['kind']}" + ("" if labels["status"].startswith("2") else f" {labels['status']}")
            found[call] = found.get(call, 0) + (value - before.get(name, 0)) / count
    return {name: round(value, 3) for name, value in found.items() if value}


async def plain(site: controlled.Site, count: int) -> list[str]:
    """Paths of as many instances that no controller looks at now."""
    await site.fill(count)
    async with cluster.Client(site.plane.kubeconfig) as client:
        found = await client.items(controlled.INSTANCES)
    return [f"namespaces/{controlled.NAMESPACE}/serviceinstances/{each['metadata']['name']}" for each in found[:count]]


def table(found: report.Report) -> str:
    """The report for people."""
    start, made, targets = found["start"], found["making"], found["targets"]
    rows = [
        (
            f"start with {found['settings']['instances']:,} instances until idle, s",
            f"{start['seconds']:.2f}",
            f"{start['bare_seconds']:.2f}",
            f"<= {targets['seconds']:g} {report.verdict(met=start['seconds'] <= targets['seconds'])}",
        ),
        (
            "memory then, MB (PSS)",
            f"{start['pss']:.0f}",
            f"{start['bare_pss']:.0f}",
            f"<= {targets['memory']:g} {report.verdict(met=start['pss'] <= targets['memory'])}",
        ),
        ("memory at its highest, MB (RSS)", f"{start['highest_rss']:.0f}", "", ""),
        ("writes when nothing has changed", f"{start['writes']:.0f}", "", f"0 {report.verdict(met=start['writes'] == 0)}"),
        ("processors at rest", f"{start['cpu_at_rest']:.3f}", "", ""),
        (
            "instances made in a second",
            f"{made['per_second']:.1f}",
            f"{made['bare_per_second']:.1f}",
            f">= {targets['per_second']:g} {report.verdict(met=made['per_second'] >= targets['per_second'])}",
        ),
        ("instances removed in a second", f"{made['removed_per_second']:.1f}", "", ""),
    ]
    cpu = ", ".join(f"{name} {value:.1f}" for name, value in made["cpu_ms"].items())
    calls = ", ".join(f"{name} {value:.2f}" for name, value in sorted(made["calls"].items()))
    broker = ", ".join(f"{name} {value:.2f}" for name, value in made["broker_calls"].items())
    rest = [f"processor time of one instance, ms: {cpu}", f"requests to the API server for one: {calls}", f"calls of the broker: {broker}"]
    if start["written"]:
        rest.append(f"written: {start['written']}")
    return "\n".join([report.table(("", "apb", "bare", "target"), rows), *rest])


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = report.parser("controller", __doc__, rounds=3)
    made.add_argument("--instances", type=int, default=10_000, help="that there are when it starts")
    made.add_argument("--made", type=int, default=1000, help="that are made at once")
    made.add_argument("--quiet-seconds", type=float, default=20.0, help="how long it is watched at rest")
    return made


def main() -> None:
    """The command."""
    report.command(parser().parse_args(), run, table)


if __name__ == "__main__":
    main()
