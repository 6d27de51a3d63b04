"""A service of the operator's own: written by `apb init` into a folder of services_path, offered by naming it in apb.yml."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import own_services
from tests.e2e.machine import Machine, machine


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `apb init hello` makes, unedited."""
    services = tmp_path_factory.mktemp("services")
    own_services.init("hello", "--services-path", str(services), cwd=services)
    return services / "hello"


@pytest.fixture(scope="module")
def offering(role: Path) -> Iterator[Machine]:
    """A machine that offers it, with a setting of the operator's."""
    with machine() as made:
        settings = {"hello_ending": "?"}
        plans = ["hello/hello-small", "hello/hello-large"]
        own_services.offer(made, {"name": "hello", "settings": settings}, plans, services_path=[str(role.parent)])
        made.start()
        yield made
        made.stop()


def test_examples_of_a_new_service_run_unedited(offering: Machine, role: Path) -> None:
    """Per-binding credentials in a file: bind, read with them, unbind, refused, nothing left."""
    for example in own_services.examples(role):
        own_services.play_example(offering, role, "hello", example)


def test_text_of_a_tenant_stays_text(offering: Machine, role: Path) -> None:
    """What a tenant writes is neither a template nor data, the operator's setting reaches the role, and the plans narrow as they say."""
    template, data = "{{ 1 + 1 }}, and more than twenty characters", '{"a": [1]}'
    refused = offering.call("provision", "hello", "small", "text", "-p", f"greeting={template}")
    assert refused.returncode == 4
    assert "is longer than 20 characters" in refused.stderr
    offering.apb("provision", "hello", "large", "text", "-p", f"greeting={template}")
    credentials = offering.apb("bind", "text", "app")["credentials"]
    assert own_services.use(role, credentials) == (0, f"{template}?")
    offering.apb("update", "text", "-p", f"greeting={data}")
    assert own_services.use(role, credentials) == (0, f"{data}?")
    offering.apb("deprovision", "text", "--yes")
