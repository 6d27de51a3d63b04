"""The playbooks of docs/modules.md that need no Kubernetes, as they stand there, with a broker and a Redis of this machine."""

from pathlib import Path

import pytest
import redis

from tests import plays
from tests.e2e.machine import Machine

GUIDE = plays.written_in(Path(__file__).parents[2] / "docs" / "modules.md")
ADMIN = "/var/lib/apb/admin.json"


def test_application_gets_a_redis_and_gives_it_back(up: Machine, tmp_path: Path) -> None:
    """Ten lines: ordered, bound, configured; a second run changes nothing, another size changes one task, and nothing is left."""
    player = plays.Player(tmp_path, {})
    order, give_back = (GUIDE[name].replace(ADMIN, str(up.state / "admin.json")) for name in ("shop.yml", "give-back.yml"))
    assert player.changes(order) == 3
    configured = tmp_path / "shop.env"
    assert configured.stat().st_mode & 0o777 == 0o600
    name, _, uri = configured.read_text().strip().partition("=")
    assert name == "REDIS_URL"
    with redis.Redis.from_url(uri, socket_timeout=5) as shop:
        assert shop.set("a", "1")
        assert shop.info("memory")["maxmemory"] == 2**29
        assert player.changes(order) == 0
        assert player.changes(order.replace("memory: 0.5", "memory: 1")) == 1
        assert shop.info("memory")["maxmemory"] == 2**30
        assert shop.get("a") == b"1"
    assert [each["name"] for each in up.apb("instances")] == ["cache"]  # the command line finds it by its name
    assert player.changes(give_back) == 2
    assert player.changes(give_back) == 0
    with redis.Redis.from_url(uri, socket_timeout=5) as shop, pytest.raises(redis.exceptions.ConnectionError):
        shop.ping()
    assert list(up.instances.iterdir()) == []
