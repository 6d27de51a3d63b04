"""A working apb.yml, and ways to change it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from apb_broker.catalog import config


@pytest.fixture
def raw() -> dict[str, Any]:
    """What `apb up` writes, more or less."""
    return {
        "apb": 1,
        "listen": "127.0.0.1:8780",
        "users": [{"name": "admin", "password_file": "admin.password", "roles": ["platform", "operator"]}],
        "services_path": [],
        "roles": [{"name": "apb.catalog.redis", "settings": {"redis_maxclients": 100, "redis_loglevel": "notice"}}],
        "targets": {
            "local": {
                "mode": "host",
                "inventory": None,
                "hosts": [{"name": "localhost", "address": "127.0.0.1"}],
                "ports": "21000-21999",
                "directory": "/var/lib/apb/host",
                "settings": {"redis_loglevel": "warning"},
            },
            "server": {"mode": "shared", "address": "192.0.2.7", "port": 6379, "username": "apb", "password_file": "server.password"},
        },
        "offers": [{"plan": "redis/redis-standard", "mode": "host", "targets": ["local"]}],
        "settings": {"concurrency": 2},
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """apb.yml with this content, in a folder of its own."""

    def write_file(content: Any) -> Path:
        file = tmp_path / "apb.yml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return file

    return write_file


@pytest.fixture
def load(write: Callable[[Any], Path]) -> Callable[[Any], config.Config]:
    """The configuration of this content."""
    return lambda content: config.load(write(content))


@pytest.fixture
def make_role(tmp_path: Path) -> Callable[..., Path]:
    """A local role with a small service, in services/ beside apb.yml."""

    def make(name: str, number: int = 1, *, folder: Path | None = None) -> Path:
        meta = (folder or tmp_path / "services") / name / "meta"
        meta.mkdir(parents=True)
        identifier = f"00000000-0000-4000-8000-{number:011d}"
        plan = {"name": "small", "id": identifier + "1", "description": "x", "tenancy": "dedicated", "parameters": {}}
        large = {**plan, "name": "large", "id": identifier + "2"}
        described = {
            "apb": 1,
            "name": name.replace("_", "-"),
            "id": identifier + "0",
            "description": "x",
            "category": "other",
            "type": "x",
            "plans": [plan, large],
        }
        (meta / "service.yml").write_text(yaml.safe_dump(described))
        (meta.parent / "tasks" / "host").mkdir(parents=True)
        (meta.parent / "tasks" / "host" / "provision.yml").write_text("[]\n")
        return meta.parent

    return make
