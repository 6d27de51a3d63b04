"""How fast apb answers, as a part of what a small Flask application does on the same gunicorn settings and the same PostgreSQL.

    python -m bench.osb [--rounds N] [--seconds S] [--connections N] [--json FILE]

Both sides take turns within each round, first one, then the other; what counts are the medians of the rounds. Only ratios mean
anything: see bench/README.md.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apb_broker import server
from bench import client, place, report
from bench.broker import Broker, request

PORTS = "10000-59999"
ASKED_OPERATIONS = 500
TARGET = 0.6
HISTORY = 20_000  # operations in the table that is looked into
COMPARED = ("catalog", "last_operation", "accept")

# A history of its own, the same rows without apb's indexes for the other side, and a table as empty as apb's for what is accepted.
FILL = f"""
INSERT INTO operations (id, kind, instance_id, requested_by, state, deadline_at, description)
SELECT 'op-' || n, 'provision', 'instance-' || n, 'bench', 'running', now() + interval '1 day', 'Start the server'
FROM generate_series(1, {HISTORY}) n;
CREATE TABLE bench_operations AS SELECT * FROM operations;
ALTER TABLE bench_operations ADD PRIMARY KEY (id);
CREATE TABLE bench_accepted (
  id text PRIMARY KEY, kind text NOT NULL, state text NOT NULL, request text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
ANALYZE;
"""
EMPTY = """
DELETE FROM operations WHERE requested_by <> 'bench';
TRUNCATE instances, health, bindings, allocations, reservations, bench_accepted;
"""


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
    return client.measured(port=side.port, status=side.status, requests=side.requests, seconds=seconds, connections=connections)


def compared(here: place.Place, comparison: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    """The medians of all rounds, and the ratio of throughputs. The first round warms up and is left out."""
    rounds: dict[str, list[dict[str, float]]] = {"apb": [], "baseline": []}
    for number in range(-options.warm_up, options.rounds):
        order = ["apb", "baseline"] if number % 2 else ["baseline", "apb"]
        for name in order:
            here.sql(EMPTY)
            before = here.cpu_seconds()
            found = measured(getattr(comparison, name), options.seconds, options.connections)
            found["cpu_ms"] = (here.cpu_seconds() - before) * 1000 / found["requests"]
            if number >= 0:
                rounds[name].append(found)
    medians = {name: report.medians(found) for name, found in rounds.items()}
    throughputs = report.ratios(*([each["per_second"] for each in rounds[name]] for name in ("apb", "baseline")))
    return {
        "name": comparison.name,
        "baseline_is": comparison.baseline_is,
        **medians,
        **throughputs,
        "cpu_ratio": round(medians["baseline"]["cpu_ms"] / medians["apb"]["cpu_ms"], 3),
        "target": TARGET,
    }


def run(options: argparse.Namespace) -> report.Report:
    """Starts everything, measures, ends everything."""
    with place.place() as here:
        here.fill(PORTS)
        here.sql(FILL)
        broker = Broker(here)
        here.serve(broker.port, "apb_cli.main", "serve")
        catalog, catalog_file = broker.catalog(), here.state.root / "catalog.json"
        catalog_file.write_bytes(catalog)
        baseline_port = place.free_port()
        here.serve(baseline_port, "bench.servers", "baseline", str(here.state.root), f"127.0.0.1:{baseline_port}", str(catalog_file))
        bare_port = place.free_port()
        here.serve(bare_port, "bench.servers", "bare", f"127.0.0.1:{bare_port}")
        generator = measured(Side(bare_port, 200, [request("GET", "/")]), options.seconds, options.connections)
        broker.close()
        results = [compared(here, each, options) for each in comparisons(broker, baseline_port, catalog) if each.name in options.only]
    gunicorn = {"class": "gthread", "workers": server.WORKERS, "threads": server.THREADS}
    return {
        "settings": report.settings(options, gunicorn=gunicorn, history=HISTORY, catalog_bytes=len(catalog)),
        "generator": generator,
        "results": results,
    }


def table(found: report.Report) -> str:
    """The report for people."""
    headings = ("", "apb/s", "baseline/s", "ratio", "by CPU", "target", "p50 ms", "p99 ms", "CPU ms", "baseline")
    rows = []
    for each in found["results"]:
        apb, baseline = each["apb"], each["baseline"]
        halves, tails = (f"{apb[key]:.1f} / {baseline[key]:.1f}" for key in ("p50_ms", "p99_ms"))
        cpu = f"{apb['cpu_ms']:.2f} / {baseline['cpu_ms']:.2f}"
        rates = (f"{apb['per_second']:.0f}", f"{baseline['per_second']:.0f}", f"{each['ratio']:.2f}", f"{each['cpu_ratio']:.2f}")
        rows.append((each["name"], *rates, each["target"], halves, tails, cpu, each["baseline_is"]))
    return f"{report.table(headings, rows)}\nthe load generator alone: {found['generator']['per_second']:.0f}/s"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = report.parser("osb", __doc__, rounds=15)
    made.add_argument("--seconds", type=float, default=1.0, help="of each side in each round")
    made.add_argument("--connections", type=int, default=16)
    made.add_argument("--only", nargs="+", choices=COMPARED, default=list(COMPARED), help="which comparisons")
    return made


def main() -> None:
    """The command."""
    report.command(parser().parse_args(), run, table)


if __name__ == "__main__":
    main()
