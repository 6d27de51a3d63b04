"""Redis on hosts at the other end of SSH, deleted and kept: stopped there, restored from here, and nothing is left after the purge."""

import dataclasses
import uuid

import pytest
import redis

from apb_broker.lifecycle import bindings, kept
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Caller
from tests import scenarios
from tests.e2e.machine import login, wait
from tests.ssh.site import SUCCEEDED, Site, ended, slug_of

OPERATOR = Caller("ops", "ops")
INSTANCE = f"far-{uuid.uuid4()}"  # of this test alone: see test_redis_over_ssh


def keeping(broker: Broker) -> Broker:
    """The same broker, whose operator keeps deleted servers."""
    offers = tuple(dataclasses.replace(offer, keep_deleted_seconds=3600) for offer in broker.catalog.offers)
    return dataclasses.replace(broker, catalog=dataclasses.replace(broker.catalog, offers=offers))


@pytest.mark.long
def test_kept_redis_is_stopped_restored_and_purged_on_its_host(site: Site, far: Broker) -> None:
    """Accounts are removed from here, the server is stopped there; it comes back with its data and without the accounts."""
    far = keeping(far)
    before = {host.name: host.state() for host in site.hosts}
    made = scenarios.provision(far, INSTANCE, parameters={"memory": 0.1}).operation_id
    with site.worker():
        assert ended(far, made) == SUCCEEDED
        host, slug = site.host_of(far, INSTANCE), slug_of(far, INSTANCE)
        assert ended(far, scenarios.bind(far, INSTANCE, "b1").operation_id) == SUCCEEDED
        credentials = bindings.fetch(far, scenarios.ANN, INSTANCE, "b1")["credentials"]
        with login(credentials) as client:
            client.set("kept", "yes")
            wait(lambda: client.info("persistence").get("aof_pending_bio_fsync", 0) == 0)

        assert ended(far, scenarios.deprovision(far, INSTANCE).operation_id) == SUCCEEDED
        assert host.pids("redis-server") == []
        assert f"apb-{slug}" in host.users()

        assert ended(far, kept.restore(far, OPERATOR, INSTANCE)["id"]) == SUCCEEDED
        assert len(host.pids("redis-server")) == 1
        with login(credentials) as client, pytest.raises(redis.exceptions.AuthenticationError):
            client.ping()
        assert ended(far, scenarios.bind(far, INSTANCE, "b2").operation_id) == SUCCEEDED
        with login(bindings.fetch(far, scenarios.ANN, INSTANCE, "b2")["credentials"]) as client:
            assert client.get("kept") == b"yes"

        assert ended(far, scenarios.deprovision(far, INSTANCE).operation_id) == SUCCEEDED
        assert ended(far, kept.purge(far, OPERATOR, INSTANCE)["id"]) == SUCCEEDED
    for one in site.hosts:
        wait(lambda one=one: one.state() == before[one.name], 20, f"nothing left on {one.name}")
