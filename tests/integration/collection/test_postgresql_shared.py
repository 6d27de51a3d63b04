"""Role postgresql through the playbooks, as the broker calls them. What accounts may do is test_postgresql_tenants.py's."""

import json
import subprocess
import sys

import pytest

from tests.integration.collection import postgresql_server
from tests.integration.collection.conftest import ROOT

INIT = "CREATE TABLE begun (note text);\nINSERT INTO begun VALUES ('{{ 1 + 1 }} canary')"


@pytest.fixture(scope="module")
def tenant(request):
    """A tenant of a server of a bundled version."""
    with postgresql_server.running(request.param) as server, postgresql_server.controller() as host:
        yield postgresql_server.Tenant(host, server, settings={"postgresql_extensions": ["vector", "postgis"]})


def play(tenant, action, *, changed=None, **given):
    played = tenant.play(action, **given)
    assert played.code == 0, played.text
    assert changed is None or played.changed == changed, played.text
    return played


def use(credentials, *expected):
    """The service's client as a tenant would run it."""
    client = [sys.executable, str(ROOT / "roles" / "postgresql" / "tests" / "client.py"), *expected]
    done = subprocess.run(client, input=json.dumps(credentials), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("tenant", [18, pytest.param(16, marks=pytest.mark.long)], indirect=True)
def test_instance_lives_from_provision_to_deprovision(tenant):
    """Each action twice, verified, used by the client, updated, restored and removed without a trace."""
    tenant.play("provision", arguments=["--check"])
    assert not tenant.exists()
    play(tenant, "provision")
    play(tenant, "provision", changed=0)

    writer = tenant.binding(init=INIT)
    made = play(tenant, "bind", binding=writer)
    play(tenant, "bind", binding=writer, changed=0)
    reader = tenant.bind("read")
    tenant.bindings.append(writer)
    assert "canary" not in made.text
    credentials = made.published["credentials"]
    assert use(credentials, "readwrite")[0] == 0, use(credentials)
    read_only = {**credentials, "uri": credentials["uri"].replace(writer["username"], reader["username"])}
    read_only["uri"] = read_only["uri"].replace(writer["password"], reader["password"])
    assert use(read_only, "read")[0] == 0, use(read_only)
    with tenant.connect(reader) as connection:
        assert connection.execute("SELECT * FROM begun").fetchall() == [("{{ 1 + 1 }} canary",)]
    play(tenant, "verify", changed=0)

    before = tenant.parameters
    tenant.parameters = {"connections": 1, "extensions": ["vector"]}
    play(tenant, "update", previous=before)
    with tenant.connect(writer) as connection:
        assert connection.execute("SELECT '[1]'::vector").fetchone() == ("[1]",)
    before, tenant.parameters = tenant.parameters, {"connections": 2, "extensions": []}
    play(tenant, "update", previous=before)
    assert tenant.server.sql("SELECT extname FROM pg_extension", database=tenant.database) == [("plpgsql",)]

    tenant.server.sql(f"DROP OWNED BY {reader['username']}; DROP ROLE {reader['username']}")
    failed = tenant.play("verify")
    assert failed.code != 0 and f"there is no account {reader['username']}" in failed.text
    play(tenant, "provision")
    play(tenant, "verify", changed=0)

    play(tenant, "unbind", binding=writer)
    assert use(credentials)[0] == 3, use(credentials)
    play(tenant, "deprovision")
    play(tenant, "deprovision", changed=0)
    assert not tenant.exists() and tenant.roles() == []
    for secret in (writer["password"], reader["password"], postgresql_server.ADMIN_PASSWORD):
        assert secret not in tenant.server.log


@pytest.mark.parametrize("tenant", [18], indirect=True)
def test_extension_that_is_not_offered_is_refused_with_those_that_are(tenant):
    """Before anything is made."""
    asked = postgresql_server.Tenant(tenant.host, tenant.server, {"connections": 1, "extensions": ["plpython3u"]}, settings=tenant.settings)
    played = asked.play("provision")
    assert played.code != 0 and "extension plpython3u: not offered here; allowed: vector, postgis" in played.text
    assert not asked.exists()


@pytest.mark.parametrize("tenant", [18], indirect=True)
def test_init_of_a_reader_is_refused(tenant):
    """Before an account is made."""
    binding = tenant.binding("read", init="SELECT 1")
    played = tenant.play("bind", binding=binding)
    assert played.code != 0 and "it needs access readwrite" in played.text
