"""How fast apb answers, as a part of what a small Flask application does on the same gunicorn settings and the same PostgreSQL.

    python -m bench.osb [--rounds N] [--seconds S] [--connections N] [--json FILE]

Both sides take turns within each round, first one, then the other; what counts are the medians of the rounds. Only ratios mean
anything: see bench/README.md.
"""

import argparse
import base64
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from apb_broker import server
from apb_broker.machine import configuration
from bench import client, place

PORTS = "10000-59999"
ASKED_OPERATIONS = 500
TARGET = 0.6


@dataclass(frozen=True)
class Side:
    """One side of a comparison: whom to ask what."""

    port: int
    status: int
    requests: list[str]


@dataclass(frozen=True)
class Comparison:
    """What is compared."""

    name: str
    baseline_is: str
    apb: Side
    baseline: Side


def request(method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> str:
    """One whole HTTP request."""
    text = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", text])


class Broker:
    """The broker under test, as its clients know it."""

    def __init__(self, here: place.Place) -> None:
        admin = json.loads(here.state.admin_file.read_text())
        self.port = configuration.host_and_port(configuration.configured_listen(here.state))[1]
        credentials = base64.b64encode(f"{admin['username']}:{admin['password']}".encode()).decode()
        self.headers = {"Authorization": f"Basic {credentials}", "X-Broker-API-Version": "2.17"}

    def catalog(self) -> bytes:
        """The body of its catalog."""
        found = httpx.get(f"http://127.0.0.1:{self.port}/v2/catalog", headers=self.headers, trust_env=False)
        return found.raise_for_status().content

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        """One whole HTTP request to it."""
        return request(method, path, body, **self.headers)


def comparisons(broker: Broker, baseline_port: int, catalog: bytes) -> Iterator[Comparison]:
    """The three that the targets speak of."""
    service = json.loads(catalog)["services"][0]
    ids = {"service_id": service["id"], "plan_id": service["plans"][0]["id"]}
    body = {**ids, "organization_guid": "org", "space_guid": "space", "parameters": {"memory": 0.5}, "context": {"platform": "bench"}}
    instances = f"/v2/service_instances/{client.NEW_ID.decode()}"
    asked = range(1, ASKED_OPERATIONS + 1)
    yield Comparison(
        "catalog",
        "the same bytes",
        Side(broker.port, 200, [broker.request("GET", "/v2/catalog")]),
        Side(baseline_port, 200, [request("GET", "/catalog")]),
    )
    yield Comparison(
        "last_operation",
        "one indexed SELECT",
        Side(
            broker.port,
            200,
            [broker.request("GET", f"/v2/service_instances/instance-{n}/last_operation?operation=op-{n}") for n in asked],
        ),
        Side(baseline_port, 200, [request("GET", f"/operations/op-{n}") for n in asked]),
    )
    yield Comparison(
        "accept",
        "one INSERT and its commit",
        Side(broker.port, 202, [broker.request("PUT", f"{instances}?accepts_incomplete=true", body)]),
        Side(baseline_port, 202, [request("PUT", f"/operations/{client.NEW_ID.decode()}", body)]),
    )


def measured(side: Side, seconds: float, connections: int) -> dict[str, float]:
    """One run of the load generator."""
    job = {"port": side.port, "status": side.status, "requests": side.requests, "seconds": seconds, "connections": connections}
    done = subprocess.run([sys.executable, "-m", "bench.client"], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the load generator failed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compared(here: place.Place, comparison: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    """The medians of all rounds, and the ratio of throughputs. The first round warms up and is left out."""
    rounds: dict[str, list[dict[str, float]]] = {"apb": [], "baseline": []}
    for number in range(options.rounds + 1):
        order = ["apb", "baseline"] if number % 2 else ["baseline", "apb"]
        for name in order:
            here.empty()
            before = here.cpu_seconds()
            found = measured(getattr(comparison, name), options.seconds, options.connections)
            found["cpu_ms"] = (here.cpu_seconds() - before) * 1000 / found["requests"]
            if number:
                rounds[name].append(found)
    medians = {name: {key: statistics.median(each[key] for each in found) for key in found[0]} for name, found in rounds.items()}
    ratios = [ours["per_second"] / theirs["per_second"] for ours, theirs in zip(rounds["apb"], rounds["baseline"], strict=True)]
    return {
        "name": comparison.name,
        "baseline_is": comparison.baseline_is,
        **medians,
        "ratio": round(statistics.median(ratios), 3),
        "cpu_ratio": round(medians["baseline"]["cpu_ms"] / medians["apb"]["cpu_ms"], 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "target": TARGET,
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Starts everything, measures, ends everything."""
    with place.place() as here:
        here.fill(PORTS)
        broker = Broker(here)
        here.serve(broker.port, "apb_cli.main", "serve")
        catalog, catalog_file = broker.catalog(), here.state.root / "catalog.json"
        catalog_file.write_bytes(catalog)
        baseline_port = place.free_port()
        here.serve(baseline_port, "bench.servers", "baseline", str(here.state.root), f"127.0.0.1:{baseline_port}", str(catalog_file))
        bare_port = place.free_port()
        here.serve(bare_port, "bench.servers", "bare", f"127.0.0.1:{bare_port}")
        generator = measured(Side(bare_port, 200, [request("GET", "/")]), options.seconds, options.connections)
        results = [compared(here, each, options) for each in comparisons(broker, baseline_port, catalog) if each.name in options.only]
    return {
        "settings": {
            "gunicorn": {"class": "gthread", "workers": server.WORKERS, "threads": server.THREADS},
            "rounds": options.rounds,
            "seconds": options.seconds,
            "connections": options.connections,
            "history": place.HISTORY,
            "catalog_bytes": len(catalog),
            "python": platform.python_version(),
        },
        "generator": generator,
        "results": results,
    }


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{'':16}{'apb/s':>9}{'baseline/s':>12}{'ratio':>8}{'by CPU':>8}{'target':>8}{'p50 ms':>16}{'p99 ms':>18}{'CPU ms':>14}   baseline"
    ]
    for found in report["results"]:
        apb, baseline = found["apb"], found["baseline"]
        halves, tails = (f"{apb[key]:.1f} / {baseline[key]:.1f}" for key in ("p50_ms", "p99_ms"))
        cpu = f"{apb['cpu_ms']:.2f} / {baseline['cpu_ms']:.2f}"
        lines.append(
            f"{found['name']:16}{apb['per_second']:9.0f}{baseline['per_second']:12.0f}{found['ratio']:8.2f}{found['cpu_ratio']:8.2f}{found['target']:8.1f}"
            f"{halves:>16}{tails:>18}{cpu:>14}   {found['baseline_is']}"
        )
    return "\n".join([*lines, f"the load generator alone: {report['generator']['per_second']:.0f}/s"])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.osb", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each side in each round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", nargs="+", default=["catalog", "last_operation", "accept"], help="which comparisons")
    parser.add_argument("--json", type=Path, help="write the report there instead of to stdout")
    options = parser.parse_args()
    report = run(options)
    text = json.dumps(report, indent=2)
    if options.json:
        options.json.write_text(text + "\n")
    else:
        print(text)
    print(table(report), file=sys.stderr if options.json is None else sys.stdout)


if __name__ == "__main__":
    main()
