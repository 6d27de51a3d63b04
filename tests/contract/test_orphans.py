"""What platforms do after a failure: delete, again and again, whatever there is (OSB 2.17, "Orphan Mitigation")."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios
from tests.conftest import CONFIG
from tests.contract.conftest import Platform

FAILED = Result("failed", message="no disk")


@pytest.mark.parametrize("before", ["queued", "running", "failed", "lost"])
def test_orphan_that_is_half_made_is_removed(platform: Platform, before: str) -> None:
    """Orphan Mitigation: after a timeout, a 5xx or a failure a platform deletes: it works from every state, for nobody in particular."""
    platform.put()
    if before == "failed":
        scenarios.run(platform.broker, FAILED)
    if before in ("running", "lost"):
        work = scenarios.claim(platform.broker)
    removal = platform.delete()
    assert removal.status_code == 202
    if before == "running":
        operations.finish(platform.broker, work.operation_id, work.epoch, scenarios.SUCCESS)
    if before == "lost":
        operations.finish(platform.broker, work.operation_id, work.epoch, Result("lost"))
    assert scenarios.run(platform.broker).kind == "deprovision"
    assert platform.poll(operation=removal.json["operation"]).json["state"] == "succeeded"
    assert platform.delete().status_code == 410


@pytest.mark.parametrize("promise", ["deletion_protection: true", "keep_deleted_seconds: 60"])
def test_orphan_of_a_plan_that_is_protected_or_kept_is_removed(
    platform_at: Callable[[str], Platform], tmp_path: Path, promise: str
) -> None:
    """Orphan Mitigation: what never succeeded has nothing worth keeping, so it is removed, and at once."""
    platform = platform_at(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", f"targets: [local], {promise}}}]"))
    platform.put()
    scenarios.run(platform.broker, FAILED)
    assert platform.delete().status_code == 202
    scenarios.run(platform.broker)
    assert platform.put().json["apb_connection"]["port"] == 31000


@pytest.mark.parametrize("before", ["queued", "running", "failed"])
def test_orphan_binding_that_is_half_made_is_removed(platform: Platform, before: str) -> None:
    """Orphan Mitigation: the same for a binding."""
    platform.ready()
    platform.bind()
    if before == "failed":
        scenarios.run(platform.broker, FAILED)
    if before == "running":
        work = scenarios.claim(platform.broker)
    assert platform.unbind().status_code == 202
    if before == "running":
        operations.finish(platform.broker, work.operation_id, work.epoch, scenarios.BOUND)
    assert scenarios.run(platform.broker).kind == "unbind"
    assert platform.unbind().status_code == 410


def test_orphan_is_deleted_again_until_it_is_gone(platform: Platform) -> None:
    """Orphan Mitigation: a platform keeps deleting until it succeeds, so every repetition is taken and none is a 5xx."""
    platform.ready()
    for _ in range(3):
        assert platform.delete().status_code == 202
        assert platform.delete().status_code == 202
        scenarios.run(platform.broker, FAILED)
        assert platform.poll().json["state"] == "failed"
    platform.delete()
    scenarios.run(platform.broker)
    assert platform.delete().status_code == platform.unbind().status_code == 410


def test_orphan_that_never_was_is_gone(platform: Platform) -> None:
    """Orphan Mitigation: a request that was refused or never arrived has left nothing to be deleted."""
    platform.put(parameters={"memory": 99})
    assert platform.delete().status_code == platform.unbind().status_code == 410


ONLY_LARGE = """\
offers:
  - {plan: box/large, mode: host, targets: [two, one]}
"""


@pytest.mark.parametrize("gone", ["plan", "service"])
def test_orphan_of_a_plan_no_longer_offered_is_removed(
    box_platform: Callable[..., Platform], platform_at: Callable[[str], Platform], tmp_path: Path, gone: str
) -> None:
    """Catalog Management: instances outlive their plan's offer; they are polled, fetched, bound, unbound and removed as before."""
    before = box_platform()
    before.ready()
    before.bound()
    offers = ONLY_LARGE if gone == "plan" else "offers: []\n"
    config = boxes.write(tmp_path).partition("offers:")[0] + offers
    platform = platform_at(config)
    platform.ids = before.ids
    assert platform.put("i2").status_code == 400
    assert platform.poll().json["state"] == "succeeded"
    assert platform.fetch().json["plan_id"] == before.ids["plan_id"]
    assert platform.fetch("i1", "b1").status_code == 200
    platform.bound(binding_id="b2")
    assert platform.patch(parameters={"memory": 2}).status_code == 202
    scenarios.run(platform.broker)
    assert platform.unbind().status_code == 202
    scenarios.run(platform.broker)
    assert platform.delete().status_code == 202
    assert scenarios.run(platform.broker).role == str(tmp_path / "services" / "box")
    assert platform.delete().status_code == 410
