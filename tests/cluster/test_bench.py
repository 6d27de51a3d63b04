"""bench.controller runs, with as little as it takes, and tells what its table and its readers need."""

import json

import pytest

from bench import controller

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("kubernetes")]


def test_controller_is_measured_at_its_start_at_rest_and_at_work() -> None:
    """Idle knows all instances, nothing is written when nothing has changed, and each instance costs something."""
    options = ["--rounds", "1", "--warm-up", "0", "--instances", "30", "--made", "10", "--quiet-seconds", "2"]
    found = controller.run(controller.parser().parse_args(options))
    start, made = found["start"], found["making"]
    assert start["seconds"] > 0 and start["pss"] > 20 and start["bare_seconds"] > 0
    assert (start["writes"], start["written"]) == (0, {})
    assert made["per_second"] > 0 and made["removed_per_second"] > 0 and made["bare_per_second"] > 0
    assert set(made["cpu_ms"]) == {"controller", "API server", "etcd", "broker"}
    assert made["cpu_ms"]["controller"] > 0 and made["cpu_ms"]["API server"] > 0  # the others take less than a tick of the clock
    assert made["broker_calls"] == {"provision": 1.0}
    assert made["calls"]["PATCH ServiceInstance"] >= 2, "the request is recorded before it is sent, and its answer after"
    assert "instances made in a second" in controller.table(json.loads(json.dumps(found)))
