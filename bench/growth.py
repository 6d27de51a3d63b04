"""Whether what the broker does takes longer the more there is: instances, and operations that have ended.

    python -m bench.growth [--sizes N …] [--rounds N] [--seconds S] [--plans FILE] [--json FILE]

Each question is put to brokers on databases of 10, 1,000 and 100,000 instances, in turn within each round. The baseline is the same broker
on an empty database. The statements that were sent, with their plans on the largest one, are in the JSON: see bench/README.md.
"""

import argparse
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from apb_broker.catalog import config
from apb_broker.catalog.catalog import Catalog
from apb_broker.lifecycle import bindings, due, fleet, health, instances, operations, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from apb_broker.lifecycle.requests import Bind, Caller, Provision
from apb_broker.storage.database import Database
from apb_broker.storage.sealing import Keyring
from bench import broker as platform
from bench import client, place, plans, population, report

TARGET = 1.5
TARGETED = ("catalog", "last_operation", "accept")
CONNECTIONS = 2
REPEATED = 20  # how often what is asked in this process is asked in one turn
CALLER = Caller("admin", "bench")
TABLES = ("instances", "bindings", "operations", "progress", "audit", "health", "allocations", "reservations")
BYTES = "SELECT pg_database_size(current_database())"
EMPTY = """
DELETE FROM operations WHERE requested_by = 'admin' OR instance_id LIKE 'mine-%';
DELETE FROM instances WHERE requested_by = 'admin' OR id LIKE 'mine-%';
"""


class Installation:
    """A broker on a database of so many instances: asked over HTTP, and its rules asked in this process."""

    def __init__(self, here: place.Place, size: int) -> None:
        self.here, self.size = here, size
        here.fill(population.PORTS, settings={"verify_every_seconds": 600})
        population.configure(here)
        loaded = config.load(here.state.config_file)
        self.database = Database(here.url, Keyring.load(here.state.key_file))
        self.database.admit()
        self.broker = Broker(self.database, Catalog.load(loaded), loaded.settings)
        self.platform = platform.Broker(here)

    def fill(self) -> None:
        """Its instances, like two that the broker itself has made, and one of ours."""
        for place_of, service in (("alone", "redis"), ("placed", population.PLACED)):
            self.accept(service, f"example-{place_of}")
            self.finish()
        population.fill(self.here, self.size)
        self.here.serve(self.platform.port, "apb_cli.main", "serve")
        self.accept("redis", "ours", user="bench")
        self.finish()
        self.operation = self.here.sql("SELECT id FROM operations WHERE instance_id = 'ours'")[0][0]

    def close(self) -> None:
        """Gives the connections back."""
        self.database.close()
        self.platform.close()

    def ids(self, service: str) -> dict[str, str]:
        """Of a service and its plan."""
        found = next(each for each in self.broker.catalog.osb()["services"] if each["name"] == service)
        return {"service_id": found["id"], "plan_id": found["plans"][0]["id"]}

    def accept(self, service: str, instance: str, user: str = "admin") -> None:
        """Has an instance accepted."""
        owner = {"organization": "org", "space": "space", "caller": Caller("admin", user), "accepts_incomplete": True}
        instances.provision(self.broker, Provision(instance_id=instance, **self.ids(service), **owner))  # type: ignore[arg-type]

    def finish(self) -> None:
        """Claims what is next, and ends it well."""
        work = operations.claim(self.broker, "bench")
        if work is None:
            raise RuntimeError("what was accepted cannot be claimed")
        operations.finish(self.broker, work.operation_id, work.epoch, Result("succeeded"))

    def empty(self) -> None:
        """Takes out what was accepted while it was measured."""
        for statement in EMPTY.strip().splitlines():
            self.here.sql(statement)

    def requests(self) -> dict[str, tuple[int, list[str]]]:
        """What is asked over HTTP: status and requests."""
        path = f"/v2/service_instances/{client.NEW_ID.decode()}?accepts_incomplete=true"
        bodies = {service: {**self.ids(service), **platform.OWNER} for service in ("redis", population.PLACED)}
        ask = self.platform.request
        busy = population.BUSY if self.size else "ours"
        return {
            "catalog": (200, [ask("GET", "/v2/catalog")]),
            "last_operation": (200, [ask("GET", f"/v2/service_instances/ours/last_operation?operation={self.operation}")]),
            "last_operation of a busy instance": (200, [ask("GET", f"/v2/service_instances/{busy}/last_operation")]),
            "accept": (202, [ask("PUT", path, bodies["redis"])]),
            "accept, placed by memory": (202, [ask("PUT", path, bodies[population.PLACED])]),
            "page of instances": (200, [ask("GET", "/admin/v1/instances?limit=10")]),
            "metrics": (200, [ask("GET", "/metrics")]),
        }

    def calls(self) -> dict[str, Callable[[], object]]:
        """What workers do all the time, and what the plans of requests are shown by."""
        return {
            "claim": lambda: operations.claim(self.broker, "bench"),
            "claim of a look": lambda: health.claim(self.broker, "bench"),
            "sweep": lambda: due.serve(self.broker),
        }

    def shown(self) -> dict[str, Callable[[], object]]:
        """The same questions in this process, once each, for their statements."""
        busy = population.BUSY if self.size else "ours"
        return {
            **self.calls(),
            "last_operation": lambda: operations.status(self.broker, CALLER, "ours", None, self.operation),
            "last_operation of a busy instance": lambda: operations.status(self.broker, CALLER, busy, None, None),
            "accept": lambda: self.accept("redis", f"mine-{uuid.uuid4()}"),
            "accept, placed by memory": lambda: self.accept(population.PLACED, f"mine-{uuid.uuid4()}"),
            "accept of a binding": self._bind,
            "page of instances": lambda: views.instances(self.broker, limit=10),
            "metrics": lambda: fleet.figures(self.broker),
        }

    def _bind(self) -> None:
        bindings.bind(self.broker, Bind(caller=CALLER, instance_id="ours", binding_id=str(uuid.uuid4()), **self.ids("redis")))  # type: ignore[arg-type]


@contextlib.contextmanager
def installations(sizes: list[int]) -> Iterator[dict[int, Installation]]:
    """One of each size, and an empty one."""
    with contextlib.ExitStack() as stack:
        made = {}
        for size in (0, *sizes):
            made[size] = Installation(stack.enter_context(place.place()), size)
            stack.callback(made[size].close)
            made[size].fill()
        yield made


def asked(of: Installation, seconds: float) -> dict[str, float]:
    """The p50 of each question in milliseconds, by one turn."""
    found = {}
    for name, (status, requests) in of.requests().items():
        job = {"status": status, "requests": requests, "seconds": seconds, "connections": CONNECTIONS}
        found[name] = client.measured(port=of.platform.port, **job)["p50_ms"]
        of.empty()
    for _ in range(REPEATED):
        of.accept("redis", f"mine-{uuid.uuid4()}")
    for name, call in of.calls().items():
        found[name] = _p50(call)
    of.empty()
    return found


def _p50(call: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEATED):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)[REPEATED // 2]


def run(options: argparse.Namespace) -> report.Report:
    """Starts everything, measures, ends everything."""
    with installations(options.sizes) as made:
        rounds: dict[int, list[dict[str, float]]] = {size: [] for size in made}
        for number in range(-options.warm_up, options.rounds):
            for size in report.turns(list(made), number):
                found = asked(made[size], options.seconds)
                if number >= 0:
                    rounds[size].append(found)
        largest = made[max(made)]
        shown = {name: plans.of(largest.database.engine, call) for name, call in largest.shown().items()}
        rows = {size: {table: each.here.sql(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES} for size, each in made.items()}
        megabytes = {size: round(each.here.sql(BYTES)[0][0] / 2**20) for size, each in made.items()}
    results = [result(name, rounds) for name in rounds[0][0]]
    database = {"rows": rows, "megabytes": megabytes}
    if options.plans:
        options.plans.write_text("\n\n".join(plans.text(name, statements) for name, statements in shown.items()) + "\n")
    return {"settings": report.settings(options), "database": database, "results": results, "plans": shown, "target": TARGET}


def result(name: str, rounds: dict[int, list[dict[str, float]]]) -> report.Report:
    """One line: the median at each size, and its ratio to the empty database's."""
    baseline = [each[name] for each in rounds[0]]
    sizes = {}
    for size, found in rounds.items():
        sizes[str(size)] = {"p50_ms": report.medians(found)[name], **report.ratios([each[name] for each in found], baseline)}
    return {"question": name, "sizes": sizes, "target": TARGET if name in TARGETED else None}


def table(found: report.Report) -> str:
    """The report for people."""
    sizes = list(found["results"][0]["sizes"])
    headings = ("p50 ms", *("empty" if size == "0" else f"{int(size):,}" for size in sizes), "ratio", "target")
    rows = []
    for each in found["results"]:
        ratio, target = each["sizes"][sizes[-1]]["ratio"], each["target"]
        word = f"{target} {report.verdict(met=ratio <= target)}" if target else ""
        rows.append((each["question"], *(f"{each['sizes'][size]['p50_ms']:.2f}" for size in sizes), f"{ratio:.2f}", word))
    sizes_mb = ", ".join(f"{int(size):,}: {megabytes} MB" for size, megabytes in found["database"]["megabytes"].items())
    reading = [f"{name}: {line}" for name, statements in found["plans"].items() for line in plans.large(statements)]
    large = "what reads more than a thousand rows, in the largest one:"
    return "\n".join([report.table(headings, rows), f"the database, by instances: {sizes_mb}", large, *(reading or ["nothing"])])


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = report.parser("growth", __doc__, rounds=5)
    made.add_argument("--sizes", nargs="+", type=int, default=[10, 1000, 100_000], help="instances")
    made.add_argument("--seconds", type=float, default=1.0, help="of each question over HTTP")
    made.add_argument("--plans", type=Path, help="write the statements and their plans there as text")
    return made


def main() -> None:
    """The command."""
    report.command(parser().parse_args(), run, table)


if __name__ == "__main__":
    main()
