"""Plans for some only, and quotas."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker.lifecycle import errors
from apb_broker.lifecycle.broker import Broker
from tests import boxes, scenarios

QUOTAS = """\
quotas:
  - {per: organization, instances: 3}
  - {per: organization, name: big, instances: 5}
  - {per: space, plan: box/large, instances: 1}
"""
VISIBLE = "targets: [two, one], visible_to: {organizations: [big], spaces: [lab]}"


@pytest.fixture
def limited(make_broker: Callable[[str], Broker], tmp_path: Path) -> Broker:
    """Boxes with quotas, of which large ones are for organization big and space lab."""
    return make_broker(boxes.write(tmp_path).replace("targets: [two, one]", VISIBLE) + QUOTAS)


def make(broker: Broker, instance_id: str, plan: str = "small", organization: str = "org", space: str = "space") -> None:
    """An instance that is ready."""
    scenarios.ready(broker, instance_id, **boxes.ids(plan), organization=organization, space=space, parameters={"memory": 0.5})


def test_plan_is_refused_to_whoever_it_is_not_offered_to(limited: Broker) -> None:
    """The plan, organization and space are named; being in one of the organizations or spaces is enough."""
    with pytest.raises(errors.Forbidden, match="plan large is not offered to organization org or space space"):
        make(limited, "i1", "large")
    make(limited, "i2", "large", organization="big")
    make(limited, "i3", "large", space="lab")


def test_plan_is_refused_as_the_end_of_an_update_too(limited: Broker) -> None:
    """Changing to it is having it."""
    make(limited, "i1")
    with pytest.raises(errors.Forbidden, match="large"):
        scenarios.update(limited, "i1", **boxes.ids("large"))


def test_quota_is_counted_per_organization(limited: Broker) -> None:
    """Each may have three, the one that is named five; a removed instance counts no longer."""
    for number in range(3):
        make(limited, f"i{number}")
    with pytest.raises(errors.QuotaReached, match="organization org may have 3 instances, and has as many"):
        make(limited, "i3")
    for number in range(4):
        make(limited, f"big{number}", organization="big")
    scenarios.deprovision(limited, "i0")
    scenarios.run(limited)
    make(limited, "i4")


def test_quota_of_a_plan_is_counted_per_space(limited: Broker) -> None:
    """Other plans and other spaces do not count; a plan change does, but the total stays what it was."""
    make(limited, "i1", "large", organization="big")
    make(limited, "i2", organization="big")
    with pytest.raises(errors.QuotaReached, match="space space may have 1 instances of plan large"):
        make(limited, "i3", "large", organization="big")
    with pytest.raises(errors.QuotaReached, match="space space may have 1 instances of plan large"):
        scenarios.update(limited, "i2", **boxes.ids("large"))
    for number in range(3):
        make(limited, f"lab{number}", organization="full", space="lab")
    assert scenarios.update(limited, "lab0", **boxes.ids("large")).created


def test_quota_holds_for_requests_at_the_same_time(limited: Broker) -> None:
    """Eight at once get three instances."""
    made, refused = [], []

    def ask(number: int) -> None:
        try:
            made.append(scenarios.provision(limited, f"i{number}", **boxes.ids("small"), parameters={"memory": 0.5}))
        except errors.QuotaReached:
            refused.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (3, 5)
