"""The shipped Redis service, and a way to describe small ones in a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.apb.catalog.plugins.module_utils import service

REDIS = Path(__file__).parents[3] / "roles" / "redis" / "meta" / "service.yml"


@pytest.fixture(scope="session")
def redis() -> service.Service:
    """The service as tenants of the shipped role see it."""
    return service.load(REDIS, role="apb.catalog.redis", version="1.2.3")


@pytest.fixture(scope="session")
def plan(redis: service.Service) -> service.Plan:
    """redis-standard."""
    return redis.plan("redis-standard")


@pytest.fixture
def description() -> dict[str, Any]:
    """A minimal description, to be changed by a test."""
    return {
        "apb": 1,
        "name": "box",
        "id": "00000000-0000-4000-8000-000000000001",
        "description": "A box",
        "category": "other",
        "type": "box",
        "parameters": {"size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 2, "x-unit": "GB", "x-updatable": True}},
        "plans": [
            {
                "name": "small",
                "id": "00000000-0000-4000-8000-000000000002",
                "description": "A small box",
                "tenancy": "dedicated",
                "parameters": {"size": {}},
            }
        ],
    }


@pytest.fixture
def load(tmp_path: Path) -> Callable[[dict[str, Any]], service.Service]:
    """Loads a description given as a dictionary or as text."""

    def write_and_load(description: dict[str, Any] | str) -> service.Service:
        file = tmp_path / "service.yml"
        file.write_text(description if isinstance(description, str) else yaml.safe_dump(description, sort_keys=False))
        return service.load(file)

    return write_and_load


@pytest.fixture
def plan_with(description: dict[str, Any], load: Callable[[dict[str, Any]], service.Service]) -> Callable[..., service.Plan]:
    """The plan of a service that takes the given parameters as they are."""

    def make(**parameters: dict[str, Any]) -> service.Plan:
        description["parameters"] = parameters
        description["plans"][0]["parameters"] = {name: {} for name in parameters}
        return load(description).plans[0]

    return make
