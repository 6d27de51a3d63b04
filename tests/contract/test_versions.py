"""What each version of the protocol knows: fields that came later are left out for platforms that do not know them."""

from collections.abc import Callable
from typing import Any

import pytest

from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.conftest import CONFIG
from tests.contract.conftest import Platform

VERSIONS = ("2.13", "2.14", "2.15", "2.16", "2.17")
EXPIRING = "targets: [local], binding_expiry: {after_seconds: 3600}}]"


def _since(first: str) -> list[bool]:
    """Of which versions a field is, by the version that brought it."""
    return [version >= first for version in VERSIONS]


def _seen(platform: Platform, ask: Callable[[Platform], Any], field: str) -> list[bool]:
    """In which versions the answer has the field."""
    return [field in ask(platform.speaking(version)) for version in VERSIONS]


def _service(platform: Platform) -> Any:
    return platform.catalog().json["services"][0]


@pytest.mark.parametrize(
    ("field", "first"),
    [
        ("plan_updateable", "2.13"),
        ("instances_retrievable", "2.14"),
        ("bindings_retrievable", "2.14"),
        ("allow_context_updates", "2.15"),
    ],
)
def test_version_of_a_services_field(platform: Platform, field: str, first: str) -> None:
    """Change Policy for Minor Versions, Service Offering Object: new fields are of the version that brought them."""
    assert _seen(platform, _service, field) == _since(first)


@pytest.mark.parametrize(
    ("field", "first"),
    [
        ("schemas", "2.13"),
        ("bindable", "2.13"),
        ("plan_updateable", "2.15"),
        ("maximum_polling_duration", "2.15"),
        ("maintenance_info", "2.15"),
        ("binding_rotatable", "2.17"),
    ],
)
def test_version_of_a_plans_field(platform: Platform, field: str, first: str) -> None:
    """Change Policy for Minor Versions, Service Plan Object."""
    assert _seen(platform, lambda speaking: _service(speaking)["plans"][0], field) == _since(first)


@pytest.mark.parametrize(
    ("field", "first"), [("plan_id", "2.13"), ("parameters", "2.13"), ("maintenance_info", "2.16"), ("metadata", "2.16")]
)
def test_version_of_an_instances_field(platform: Platform, field: str, first: str) -> None:
    """Change Policy for Minor Versions, Fetching a Service Instance."""
    platform.ready()
    assert _seen(platform, lambda speaking: speaking.fetch().json, field) == _since(first)


@pytest.mark.parametrize(("field", "first"), [("operation", "2.13"), ("metadata", "2.16")])
def test_version_of_an_accepted_requests_field(platform: Platform, field: str, first: str) -> None:
    """Change Policy for Minor Versions, Provisioning."""
    assert _seen(platform, lambda speaking: speaking.put().json, field) == _since(first)


@pytest.mark.parametrize(("field", "first"), [("credentials", "2.13"), ("endpoints", "2.15"), ("metadata", "2.16")])
def test_version_of_a_bindings_field(platform_at: Callable[[str], Platform], field: str, first: str) -> None:
    """Change Policy for Minor Versions, Binding and Fetching a Service Binding."""
    platform = platform_at(CONFIG.format(directory="/nowhere").replace("targets: [local]}]", EXPIRING))
    platform.ready()
    platform.bound()
    assert _seen(platform, lambda speaking: speaking.fetch("i1", "b1").json, field) == _since(first)
    assert _seen(platform, lambda speaking: speaking.bind().json, field) == _since(first)


@pytest.mark.parametrize(
    ("field", "first"), [("state", "2.13"), ("description", "2.13"), ("instance_usable", "2.16"), ("update_repeatable", "2.16")]
)
def test_version_of_a_polled_field(platform: Platform, field: str, first: str) -> None:
    """Change Policy for Minor Versions, Polling Last Operation for Service Instances."""
    platform.ready()
    platform.patch(parameters={"memory": 2})
    scenarios.run(platform.broker, Result("failed", message="no room"))
    assert _seen(platform, lambda speaking: speaking.poll().json, field) == _since(first)


def test_version_without_updateable_plans_learns_it_of_the_service(box_platform: Callable[..., Platform]) -> None:
    """Service Offering Object: before 2.15 only the service said that plans may change; later its plans say it themselves."""
    platform = box_platform()
    assert [_service(platform.speaking(version))["plan_updateable"] for version in VERSIONS] == [True, True, False, False, False]
    platform = box_platform(plans={"small": {"updates_to": []}})
    assert not any(_service(platform.speaking(version))["plan_updateable"] for version in VERSIONS)
