"""`apb doctor` on hosts at the other end of SSH."""

import uuid
from pathlib import Path

import pytest

from apb_broker.doctor import main, runs
from apb_broker.execution import directory
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.ssh.hosts import USER
from tests.ssh.site import Site, slug_of

KEPT, GONE = f"kept-{uuid.uuid4()}", f"gone-{uuid.uuid4()}"


def run(far: Broker) -> None:
    """The next operation, in this process."""
    work = scenarios.claim(far)
    outcome = runs.one(far, work)
    assert outcome.status == "succeeded", outcome.message
    assert operations.finish(far, work.operation_id, work.epoch, Result("succeeded", outcome.published))


@pytest.mark.long
def test_doctor_finds_and_removes_what_is_left_on_a_remote_host(
    site: Site, far: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the host where it is, and nothing of the instance that lives on the other one."""
    monkeypatch.setattr(directory, "_roots", lambda _root: [tmp_path])  # other tests' are everywhere
    before = {host.name: host.state() for host in site.hosts}
    for instance_id in (KEPT, GONE):
        scenarios.provision(far, instance_id, parameters={"memory": 0.1})
        run(far)
    report = main.examine(far)
    assert (report.examination.findings, report.examination.unseen) == ([], [])
    slug, host = slug_of(far, GONE), site.host_of(far, GONE)
    with far.database.unit() as unit:
        row = unit.instance(GONE)
        assert row is not None
        unit.delete(row)
    left = host.temporary / f"apb-{slug}/1/ansible-tmp-1"  # of a task that was killed
    host.run("su", "-c", f"mkdir -p '{Path('/') / left.relative_to(host.root)}'", USER)
    report = main.examine(far, remove=True)
    assert (report.examination.findings, report.problems) == ([], ())
    assert {(one.sort, one.slug, one.place and one.place.host) for one in report.removed} == {("leftover", slug, host.name)}
    assert {"directory", "program", "process", "user", "temporary directory"} <= {one.thing for one in report.removed}
    scenarios.deprovision(far, KEPT)
    run(far)
    assert {host.name: host.state() for host in site.hosts} == before
