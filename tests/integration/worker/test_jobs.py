"""What a worker hands to a run: where it goes, and for a shared server as whom."""

from pathlib import Path
from typing import Any

import pytest

from apb_broker import execution
from apb_broker.lifecycle.broker import Broker
from apb_broker.worker import jobs
from tests import boxes, scenarios


@pytest.fixture
def broker(make_broker: Any, tmp_path: Path) -> Broker:
    """A broker that offers boxes on hosts of an inventory and on a shared server."""
    return make_broker(boxes.write(tmp_path))


def job_of(broker: Broker, plan: str) -> Any:
    """The run of a provision."""
    scenarios.provision(broker, "i1", **boxes.ids(plan))
    return jobs.build(broker, scenarios.claim(broker))


def test_job_for_a_shared_server_says_as_whom(broker: Broker, tmp_path: Path) -> None:
    """The password is masked in all that leaves the run, and runs start on this machine."""
    job = job_of(broker, "part")
    assert job.variables["apb_server"] == {"host": "db.example.com", "port": 5432, "username": "apb", "password": "secret of the operator"}
    assert "secret of the operator" in job.secrets
    assert set(job.inventory["hosts"]) == {"localhost"}
    assert (job.variables["apb_mode"], job.variables["apb_instance"]["host"]) == ("shared", "db.example.com")
    assert job.variables["apb_instance"]["placement"]["host"] == "localhost"


def test_job_for_a_shared_server_reads_its_password_anew(broker: Broker, tmp_path: Path) -> None:
    """The operator changes it without a restart; without it nothing runs, and the sentence names the file, not the password."""
    (tmp_path / "server.password").write_text("another one")
    assert job_of(broker, "part").variables["apb_server"]["password"] == "another one"
    (tmp_path / "server.password").chmod(0o644)
    scenarios.provision(broker, "i2", **boxes.ids("part"))
    with pytest.raises(jobs.Unrunnable, match=r"target 'server' cannot be used: .*chmod 600") as caught:
        jobs.build(broker, scenarios.claim(broker))
    assert "another one" not in str(caught.value)


def test_job_for_a_host_has_the_operators_inventory_and_no_server(broker: Broker, tmp_path: Path) -> None:
    """How to reach a host is the inventory's to say."""
    job = job_of(broker, "small")
    assert (job.inventory, job.inventory_file) == (None, str(tmp_path / "hosts"))
    assert "apb_server" not in job.variables


def test_job_that_was_halted_is_ended_on_a_remote_host_only(broker: Broker) -> None:
    """By a run with a higher epoch, so that what was left is older; a shared server is worked on from here."""
    job = job_of(broker, "small")
    ending = jobs.ending(job)
    assert ending is not None
    assert (ending.playbook, ending.epoch, ending.variables["apb_epoch"]) == ("apb.catalog.end_runs", job.epoch + 1, job.epoch + 1)
    scenarios.provision(broker, "i2", **boxes.ids("part"))
    assert jobs.ending(jobs.build(broker, scenarios.claim(broker))) is None


def test_job_of_an_instance_whose_target_is_gone_tells_the_cure(make_broker: Any, tmp_path: Path) -> None:
    """Plans may leave the offer, targets may not while instances are on them."""
    broker = make_broker(boxes.write(tmp_path))
    scenarios.ready(broker, "i1", **boxes.ids("part"))
    config = (tmp_path / "apb.yml").read_text().splitlines()
    without = make_broker("\n".join(line for line in config if "server" not in line) + "\n")
    scenarios.deprovision(without)
    with pytest.raises(jobs.Unrunnable, match=r"apb\.yml has no target 'server' any more, which this instance is on: put it back"):
        jobs.build(without, scenarios.claim(without))


def test_job_has_the_operators_limits(make_broker: Any, tmp_path: Path) -> None:
    """What a run may take is said in apb.yml; what is not said there is as the documentation tells."""
    broker = make_broker(boxes.write(tmp_path) + "settings: {run_limits: {memory_gb: 3.5}}\n")
    assert job_of(broker, "part").limits == execution.Limits(processes=500, open_files=4096, memory_gb=3.5, file_gb=4)
