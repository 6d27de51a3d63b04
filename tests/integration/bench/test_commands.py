"""Each command of bench/ runs, with as little as it takes, and tells what its table and its readers need."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench import growth, latency, memory, operations, osb, redis_site, report, throughput

QUICK = ["--rounds", "1", "--warm-up", "0"]
COLD = ["--executors", "cold"]


@pytest.fixture(scope="module")
def site() -> Iterator[redis_site.Site]:
    """A broker with Redis servers, for all that measure with one."""
    with redis_site.site(number=8) as made:
        yield made


def told(command: Any, found: report.Report) -> str:
    """The table, made of what is left of the report as JSON."""
    table: str = command.table(json.loads(json.dumps(found)))
    return table


def test_osb_compares_what_it_is_told_to() -> None:
    """Throughput, latency and processor time of both sides, and the ratio of each round."""
    found = osb.run(osb.parser().parse_args([*QUICK, "--seconds", "1", "--connections", "2", "--only", "catalog", "accept"]))
    assert [each["name"] for each in found["results"]] == ["catalog", "accept"]
    for each in found["results"]:
        assert each["apb"]["per_second"] > 0 and each["baseline"]["cpu_ms"] > 0
        assert len(each["ratios"]) == 1 and each["ratio"] == each["ratios"][0] > 0
    assert "catalog" in told(osb, found)


def test_operations_compares_each_action_with_the_bare_playbook() -> None:
    """The baseline takes time of the processors, and the broker more than nothing; the target of `cold` is judged."""
    found = operations.run(operations.parser().parse_args([*QUICK, *COLD, "--services", "redis"]))
    assert [each["action"] for each in found["results"]] == list(operations.ACTIONS)
    for each in found["results"]:
        assert each["baseline"]["cpu"] > 0.3 and each["cold"]["cpu"] > 0.3, "a run that is left out costs nothing"
        parts = sum(each["cold"][f"cpu_{name}"] for name in ("serve", "worker", "postgresql"))
        assert parts == pytest.approx(each["cold"]["cpu"], abs=0.001)
        assert each["cold"]["wall_ratio"] == pytest.approx(each["cold"]["wall"] / each["baseline"]["wall"], abs=0.01)
    assert "target: cold" in told(operations, found)


def test_throughput_tells_binds_a_second_and_their_cost(site: redis_site.Site) -> None:
    """Of each number of workers, with its ratio to cold."""
    found = throughput.run_on(site, throughput.parser().parse_args([*QUICK, *COLD, "--workers", "1", "2", "--seconds", "3"]))
    assert [each["workers"] for each in found["results"]] == [1, 2]
    assert all(each["per_second"] > 0 and each["cpu_seconds"] > 0.3 and each["ratio"] == 1 for each in found["results"])
    assert "binds/s" in told(throughput, found)


def test_latency_tells_how_busy_workers_change_it(site: redis_site.Site) -> None:
    """Beside the same rate without a worker; all that was accepted is taken out again."""
    found = latency.run_on(site, latency.parser().parse_args([*QUICK, *COLD, "--seconds", "3", "--rate", "10"]))
    assert [each["workers"] for each in found["results"]] == ["idle", "scripted", "cold"]
    assert all(each["p99_ms"] >= each["p50_ms"] > 0 for each in found["results"])
    assert found["results"][0]["p50_ms_ratio"] == 1 and found["results"][1]["ended_per_second"] > 0
    assert site.here.sql(redis_site.LEFT) == [(0,)]
    assert "scripted" in told(latency, found)


def test_memory_tells_each_kind_of_process(site: redis_site.Site) -> None:
    """Idle without runs, busy with some."""
    found = memory.run_on(site, memory.parser().parse_args([*QUICK, *COLD, "--seconds", "4", "--concurrency", "1"]))
    (result,) = found["results"]
    assert set(result["idle"]) == {"web", "worker", "postgresql"} and set(result["busy"]) == {*result["idle"], memory.RUNS}
    assert result["busy"][memory.RUNS]["pss"] > 30 and found["baseline"]["pss"] > 30
    assert "baseline" in told(memory, found)


def test_growth_puts_its_questions_to_each_size() -> None:
    """And shows the statements behind them, with their plans."""
    found = growth.run(growth.parser().parse_args([*QUICK, "--sizes", "10", "--seconds", "0.5"]))
    questions = {each["question"]: each for each in found["results"]}
    assert set(growth.TARGETED) <= set(questions)
    assert all(each["sizes"]["0"]["ratio"] == 1 and each["sizes"]["10"]["p50_ms"] > 0 for each in questions.values())
    rows = found["database"]["rows"][10]
    assert rows["instances"] >= 10 and rows["operations"] >= 60
    assert {"claim", "sweep", "accept, placed by memory"} <= set(found["plans"])
    assert any("SKIP LOCKED" in each["statement"] for each in found["plans"]["claim"])
    assert "empty" in told(growth, found)
