"""The units for systemd that operators are offered: they grant the times that apb asks for."""

import configparser
from pathlib import Path

import pytest

from apb_broker.catalog.config import Settings

UNITS = Path(__file__).parents[2] / "deploy/systemd"
NEEDED = {
    "apb-serve.service": Settings().sync_wait_seconds + 10,
    "apb-worker.service": Settings().drain_seconds + Settings().cancel_grace_seconds + 5,
}


@pytest.mark.parametrize("name", NEEDED)
def test_unit_lets_its_process_stop_in_good_order(name: str) -> None:
    """SIGTERM to the main process alone, and SIGKILL not before it had its time."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / name)
    assert float(unit["Service"]["TimeoutStopSec"]) > NEEDED[name]
    assert unit["Service"]["KillMode"] == "mixed"
    assert unit["Service"]["ExecStart"].endswith(name.removeprefix("apb-").removesuffix(".service"))
