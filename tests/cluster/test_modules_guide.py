"""The playbooks of docs/modules.md for Kubernetes, as they stand there: `apb up`, `apb controller`, a real API server and a real Redis."""

import json
from pathlib import Path

import pytest
import redis

from tests import plays
from tests.cluster.catalog import Catalog
from tests.e2e.machine import Machine

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("controller")]
GUIDE = plays.written_in(Path(__file__).parents[2] / "docs" / "modules.md")


@pytest.fixture
def player(kubeconfig: Path, tmp_path: Path) -> plays.Player:
    """Plays at that cluster, which the environment names."""
    return plays.Player(tmp_path, {}, KUBECONFIG=str(kubeconfig))


def test_application_gets_a_redis_of_the_cluster(up: Machine, space: Catalog, player: plays.Player) -> None:
    """A broker registered, then ten lines: ordered, bound, configured. A second run changes nothing, and nothing is left at the end."""
    admin = json.loads((up.state / "admin.json").read_text())
    space.put_secret("apb-login", username=admin["username"], password=admin["password"])
    given = {"namespace": space.namespace, "url": admin["url"], "apb_kubeconfig": player.environment["KUBECONFIG"]}
    assert player.changes(GUIDE["register.yml"], **given) == 1
    assert player.changes(GUIDE["shop-in-kubernetes.yml"], **given) == 3
    name, _, uri = (player.directory / "shop.env").read_text().strip().partition("=")
    assert name == "REDIS_URL"
    with redis.Redis.from_url(uri, socket_timeout=5) as shop:
        assert shop.set("a", "1")
        assert player.changes(GUIDE["register.yml"], **given) + player.changes(GUIDE["shop-in-kubernetes.yml"], **given) == 0
        larger = GUIDE["shop-in-kubernetes.yml"].replace("plan: redis-standard}", "plan: redis-standard, parameters: {memory: 0.5}}")
        assert player.changes(larger, **given) == 1
        assert (shop.get("a"), shop.info("memory")["maxmemory"]) == (b"1", 2**29)
    (player.directory / "shop.instances.yml").write_text(GUIDE["shop.instances.yml"])
    listed = player.run("inventory", "-i", "shop.instances.yml", "--host", f"cache.{space.namespace}")
    assert listed.returncode == 0, listed.stderr
    assert uri.endswith("@" + json.loads(listed.stdout, object_hook=plays.plain)["address"])
    give_back(player, space.namespace)
    with redis.Redis.from_url(uri, socket_timeout=5) as shop, pytest.raises(redis.exceptions.ConnectionError):
        shop.ping()
    assert list(up.instances.iterdir()) == []
    assert [each for each in space.list("ClusterServiceClass") if each["spec"]["clusterServiceBrokerName"] == "apb"] == []


def give_back(player: plays.Player, namespace: str) -> None:
    """All of it, each waited for."""
    place = {"namespace": namespace, "state": "absent"}
    told = player.play(
        plays.task("binding", "service_binding", name="cache-shop", **place),
        plays.task("instance", "service_instance", name="cache", **place),
        plays.task("broker", "cluster_service_broker", name="apb", state="absent"),
    )
    assert [result["changed"] for result in told.values()] == [True] * 3, told
