"""What an operation costs by the broker, as a part of what the bare playbook costs that it replaces.

    python -m bench.operations [--rounds N] [--executors NAME …] [--services NAME …] [--json FILE]

From the request to the end as a platform sees it, with a binding to its credentials, against `ansible-playbook` by itself. All sides take
turns within each round; what counts are medians: see bench/README.md.
"""

import argparse
import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import redis

from bench import place, playbook, processes, report, shared_server
from bench.broker import POLL_SECONDS, Broker

BASELINE = "baseline"
ACTIONS = ("provision", "bind", "unbind", "deprovision")
SERVICES: dict[str, dict[str, Any]] = {"redis": {"parameters": {"memory": 0.1}}, "postgresql": {}}
RATIO_TARGET = 0.25  # of the baseline, in wall and CPU: binding redis, by the fastest executor
SECONDS_TARGET = 0.4  # above the baseline, at most: cold
QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Took:
    """Seconds on the clock, and of the processors."""

    wall: float
    cpu: float
    parts: dict[str, float] = field(default_factory=dict)  # of the processors: web, worker with its runs, database
    credentials: dict[str, Any] = field(default_factory=dict)


class Asked:
    """A broker with one worker that is asked over HTTP."""

    def __init__(self, here: place.Place, poll_seconds: float) -> None:
        self._here, self._broker, self._poll_seconds = here, Broker(here), poll_seconds

    def start(self) -> None:
        """A web server and a worker."""
        self._here.serve(self._broker.port, "apb_cli.main", "serve")
        self._here.work()

    def close(self) -> None:
        """Gives its connection back."""
        self._broker.close()

    def ids(self, service: str) -> dict[str, str]:
        """The ids of a service and its plan."""
        return self._broker.ids(service)

    def carry_out(self, action: str, ids: dict[str, str], instance: str, binding: str, **body: Any) -> Took:
        """One operation. Processor time is that of web, worker, PostgreSQL and all that they start; it counts until the run is gone."""
        before, began = self._here.cpu_by_name(), time.perf_counter()
        credentials = self._broker.carry_out(action, ids, instance, binding, poll_seconds=self._poll_seconds, **body)
        wall = time.perf_counter() - began
        self._here.wait(lambda: not processes.runs(self._here.roots()), QUIET_SECONDS, "the end of the run's processes")
        parts = {f"cpu_{name}": used - before[name] for name, used in self._here.cpu_by_name().items()}
        return Took(wall, sum(parts.values()), parts, credentials or {})


class Bare:
    """The same by ansible-playbook."""

    def __init__(self, here: place.Place, ids_of: Asked) -> None:
        self._bare, self.ids = playbook.Bare(here), ids_of.ids

    def carry_out(self, action: str, ids: dict[str, str], instance: str, binding: str, **body: Any) -> Took:
        """One run."""
        ran = self._bare.carry_out(action, ids, instance, binding, **body)
        return Took(ran.wall, ran.cpu, credentials=ran.published.get("credentials", {}))

    def close(self) -> None:
        """Gives its connections back."""
        self._bare.close()


@contextlib.contextmanager
def sides(names: list[str], poll_seconds: float) -> Iterator[dict[str, Asked | Bare]]:
    """A place for each executor and one for the baseline, all on one PostgreSQL server that they have shares of."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(shared_server.postgresql(stack.enter_context(place.directory())))
        made: dict[str, Asked | Bare] = {}
        for number, name in enumerate(names):
            here = stack.enter_context(place.place())
            configure(here, server, place.free_range(100, number), name)
            made[name] = asked = Asked(here, poll_seconds)
            stack.callback(asked.close)
            asked.start()
        bare = stack.enter_context(place.place())
        configure(bare, server, place.free_range(100, len(names)), "cold")
        made[BASELINE] = baseline = Bare(bare, asked)
        stack.callback(baseline.close)
        yield made


def configure(here: place.Place, server: dict[str, Any], ports: str, executor: str) -> None:
    """Offers a server of its own and a share. Nothing runs but what is asked for."""
    here.fill(
        ports,
        roles=[{"name": "apb.catalog.redis"}, {"name": "apb.catalog.postgresql"}],
        targets={
            "local": {
                "mode": "host",
                "hosts": [{"name": "localhost", "address": "127.0.0.1"}],
                "ports": ports,
                "directory": str(here.state.host),
            },
            "server": server,
        },
        offers=[
            {"plan": "redis/redis-standard", "mode": "host", "targets": ["local"]},
            {"plan": "postgresql/postgresql-tenant", "mode": "shared", "targets": ["server"]},
        ],
        settings={"executor": executor, "verify_every_seconds": 0},
    )
    here.prepare_host()


def measured(made: dict[str, Asked | Bare], options: argparse.Namespace) -> dict[tuple[str, str], dict[str, list[dict[str, float]]]]:
    """{(service, action): {side: one {"wall", "cpu"} of each round}}."""
    found: dict[tuple[str, str], dict[str, list[dict[str, float]]]] = {}
    for number in range(-options.warm_up, options.rounds):
        for name in report.turns(list(made), number):
            for service in options.services:
                for action, took in lives(made[name], service):
                    if number >= 0:
                        side = found.setdefault((service, action), {each: [] for each in made})[name]
                        side.append({"wall": took.wall, "cpu": took.cpu, **took.parts})
    return found


def lives(side: Asked | Bare, service: str) -> Iterator[tuple[str, Took]]:
    """An instance from its provision to its end, with a binding that is used."""
    ids, instance, binding = side.ids(service), str(uuid.uuid4()), str(uuid.uuid4())
    for action in ACTIONS:
        took = side.carry_out(action, ids, instance, binding, **(SERVICES[service] if action == "provision" else {}))
        if action == "bind":
            use(took.credentials)
        yield action, took


def use(credentials: dict[str, Any]) -> None:
    """Credentials that do not work would make every figure worthless."""
    if credentials["type"] == "redis":
        with redis.Redis.from_url(credentials["uri"], socket_timeout=5) as client:
            client.set("bench", "1")
    else:
        psycopg.connect(credentials["uri"], connect_timeout=5).close()


def result(service: str, action: str, found: dict[str, list[dict[str, float]]]) -> report.Report:
    """One line: the baseline's medians, and each executor's with its ratios."""
    baseline = found[BASELINE]
    line: report.Report = {"service": service, "action": action, BASELINE: report.medians(baseline)}
    for name in [each for each in found if each != BASELINE]:
        ours = report.medians(found[name])
        compared = {
            figure: report.ratios([each[figure] for each in found[name]], [each[figure] for each in baseline]) for figure in ("wall", "cpu")
        }
        line[name] = {
            **ours,
            "wall_ratio": compared["wall"]["ratio"],
            "cpu_ratio": compared["cpu"]["ratio"],
            "seconds_more": round(ours["wall"] - line[BASELINE]["wall"], 3),
            "wall_ratios": compared["wall"]["ratios"],
            "cpu_ratios": compared["cpu"]["ratios"],
        }
    return line


def run(options: argparse.Namespace) -> report.Report:
    """Starts everything, measures, ends everything."""
    with sides(options.executors, options.poll_seconds) as made:
        found = measured(made, options)
    return {
        "settings": report.settings(options),
        "baseline_is": "ansible-playbook, the same playbook and variables, modules sent",
        "results": [result(service, action, sides_of) for (service, action), sides_of in found.items()],
        "targets": {"warm_bind_redis_ratio": RATIO_TARGET, "cold_seconds_more": SECONDS_TARGET},
    }


def table(found: report.Report) -> str:
    """The report for people."""
    headings = ("", "executor", "wall s", "baseline", "ratio", "more s", "CPU s", "baseline", "ratio")
    rows = []
    for line in found["results"]:
        for name in [each for each in line if each not in ("service", "action", BASELINE)]:
            ours, theirs = line[name], line[BASELINE]
            wall = (f"{ours['wall']:.2f}", f"{theirs['wall']:.2f}", f"{ours['wall_ratio']:.2f}", f"{ours['seconds_more']:+.2f}")
            cpu = (f"{ours['cpu']:.2f}", f"{theirs['cpu']:.2f}", f"{ours['cpu_ratio']:.2f}")
            rows.append((f"{line['service']} {line['action']}", name, *wall, *cpu))
    return "\n".join([report.table(headings, rows), f"baseline: {found['baseline_is']}", *targets(found["results"])])


def targets(results: list[report.Report]) -> Iterator[str]:
    """What the project has set itself, and how it did."""
    for line in results:
        if (line["service"], line["action"]) == ("redis", "bind") and "warm" in line:
            ratios = (line["warm"]["wall_ratio"], line["warm"]["cpu_ratio"])
            text = f"target: redis bind, warm, at most {RATIO_TARGET} of the baseline in wall and CPU: {ratios[0]:.2f}, {ratios[1]:.2f}"
            yield f"{text}, {report.verdict(met=max(ratios) <= RATIO_TARGET)}"
    if more := [line["cold"]["seconds_more"] for line in results if "cold" in line]:
        text = f"target: cold, at most {SECONDS_TARGET} s more than the baseline: at most {max(more):+.2f} s"
        yield f"{text}, {report.verdict(met=max(more) <= SECONDS_TARGET)}"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = report.parser("operations", __doc__, rounds=7)
    report.add_executors(made)
    made.add_argument("--services", nargs="+", choices=list(SERVICES), default=list(SERVICES))
    made.add_argument("--poll-seconds", type=float, default=POLL_SECONDS, help="how often a platform asks whether it is done")
    return made


def main() -> None:
    """The command."""
    report.command(parser().parse_args(), run, table)


if __name__ == "__main__":
    main()
