"""The playbooks with shares of a Redis that the tests, as its operator, run themselves."""

import json
import subprocess
import sys

import pytest
import redis
from ansible_collections.apb.catalog.plugins.module_utils import redis_tenant
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError

from tests import ports
from tests.integration.collection import redis_server
from tests.integration.collection.conftest import ROOT, Host, make_directory

CLIENT = ROOT / "roles" / "redis" / "tests" / "client.py"


@pytest.fixture(scope="module")
def controller():
    """Where the playbooks run. Nothing is prepared there: a share needs nothing."""
    host = Host(make_directory())
    yield host
    host.remove()


@pytest.fixture(scope="module")
def server():
    """The operator's server, with data of its own."""
    with redis_server.running(redis_server.program_of("package") or redis_server.program_of("bundled")) as made:
        with made.admin() as admin:
            admin.set("operators", "data")
        yield made


@pytest.fixture(scope="module")
def tenant(controller, server):
    """Provisioned with two bindings, and shared by the tests that leave it as it was."""
    made = redis_server.tenant_of(controller, server)
    made.binding("readwrite")
    made.binding("read")
    played = made.play("provision")
    assert played.code == 0, played.text
    return made


def used(credentials, access):
    """How the tenant's program goes with the credentials."""
    given = json.dumps(credentials)
    return subprocess.run([sys.executable, str(CLIENT), access], input=given, capture_output=True, text=True, timeout=30)


def test_provision_makes_the_accounts_of_live_bindings_again_and_once(tenant):
    """A restored server has them all after one run, and the next finds everything done, update too."""
    writer, reader = tenant.bindings
    for action in ("provision", "update"):
        again = tenant.play(action)
        assert (again.code, again.changed) == (0, 0), again.text
    with tenant.admin() as admin:
        admin.acl_deluser(writer["username"], reader["username"])
    told = tenant.play("provision", arguments=["--check", "--diff"])
    assert (told.code, told.changed) == (0, 1) and tenant.accounts() == [], told.text
    assert tenant.play("provision").changed == 1
    assert tenant.accounts() == sorted(binding["username"] for binding in tenant.bindings)
    tenant.server.restart()
    assert tenant.play("verify").code == 0


def test_bind_hands_out_credentials_that_work_within_the_prefix(tenant):
    """Whoever has them uses keys with the prefix; the same bind again changes nothing."""
    binding = tenant.binding("readwrite", password="a b/c@d:e%f'{{ 1 }}")
    bound = tenant.play("bind", binding=binding)
    assert (bound.code, bound.changed) == (0, 1), bound.text
    assert tenant.play("bind", binding=binding).changed == 0
    credentials = bound.published["credentials"]
    assert credentials["key_prefix"] == tenant.prefix and credentials["port"] == tenant.port and "dns_name" not in credentials
    done = used(credentials, "readwrite")
    assert (done.returncode, done.stdout) == (0, f"readwrite: wrote and read {tenant.prefix}apb-client\n"), done.stderr
    assert binding["password"] not in bound.text.partition('"plays"')[2].partition('"stats"')[0]
    tenant.bindings.remove(binding)
    with redis.Redis.from_url(credentials["uri"]) as client:
        client.ping()
        unbound = tenant.play("unbind", binding=binding)
        assert (unbound.code, unbound.changed) == (0, 1), unbound.text
        with pytest.raises(redis.exceptions.ConnectionError):
            client.connection_pool.get_connection().read_response()
    refused = used(credentials, "readwrite")
    assert refused.returncode == 3 and refused.stdout.startswith("refused: "), refused.stderr
    assert tenant.play("unbind", binding=binding).changed == 0
    assert tenant.keys() == [f"{tenant.prefix}apb-client"]


def test_reader_reads_what_the_writer_wrote(tenant):
    """`access: read` is refused every way to write, and it is the program of a tenant that says so."""
    writer, reader = tenant.bindings
    for binding, access in ((writer, "readwrite"), (reader, "read")):
        credentials = tenant.play("bind", binding=binding).published["credentials"]
        done = used(credentials, access)
        assert done.returncode == 0, done.stderr
    assert "written by the client" in done.stdout
    assert used(credentials, "readwrite").returncode == 1


def test_tenants_applications_work(tenant):
    """What libraries do on their own when they connect, transactions, streams, blocking reads, messages."""
    writer = tenant.bindings[0]
    with tenant.client(writer["username"], writer["password"]) as client:
        assert client.client_setname("app") and client.client_info()["user"] == writer["username"] == client.acl_whoami()
        with client.pipeline(transaction=True) as transaction:
            transaction.watch(f"{tenant.prefix}n")
            transaction.multi()
            assert transaction.set(f"{tenant.prefix}n", 1).incr(f"{tenant.prefix}n").execute() == [True, 2]
        client.xgroup_create(f"{tenant.prefix}s", "g", mkstream=True)
        client.xadd(f"{tenant.prefix}s", {"a": 1})
        assert client.xreadgroup("g", "c", {f"{tenant.prefix}s": ">"})
        client.rpush(f"{tenant.prefix}l", "x")
        assert client.blpop(f"{tenant.prefix}l", timeout=1)
        with client.pubsub() as listening:
            listening.psubscribe(f"{tenant.prefix}*")
            listening.subscribe(f"{tenant.prefix}news")
            assert [listening.get_message(timeout=5)["type"] for _each in range(2)] == ["psubscribe", "subscribe"]
            assert client.publish(f"{tenant.prefix}news", "hello") == 2
        client.delete(*tenant.keys())


def test_verify_tells_drift(tenant):
    """Alive and as described, or a sentence that names the account."""
    assert tenant.play("verify").code == 0
    writer, reader = tenant.bindings
    with tenant.admin() as admin:
        admin.execute_command("ACL", "SETUSER", reader["username"], "+set")
        admin.acl_deluser(writer["username"])
    told = tenant.play("verify")
    assert told.code != 0
    for sentence in (f"account {writer['username']} is missing", f"account {reader['username']} differs"):
        assert sentence in told.text
    assert tenant.play("provision").code == 0
    assert tenant.play("verify").code == 0


def test_deprovision_leaves_nothing_and_touches_nobody_else(controller, server, tenant):
    """Accounts, also those that nobody remembers, their connections and keys in every database; a second run finds nothing to do."""
    made = redis_server.tenant_of(controller, server)
    binding = made.binding()
    assert made.play("provision").code == 0
    server.account("stray", **redis_server.rules_of("shared", "read", made.prefix))
    with server.admin() as admin, made.client(binding["username"], binding["password"]) as client:
        neighbours = [f"{tenant.prefix}kept", f"x{made.prefix}kept", made.slug]
        admin.mset(dict.fromkeys(neighbours, "kept"))
        with client.pipeline(transaction=False) as pipeline:
            for number in range(redis_tenant.BATCH * 2 + 1):
                pipeline.set(f"{made.prefix}{number}", number)
            pipeline.copy(f"{made.prefix}1", f"{made.prefix}1", destination_db=3)
            pipeline.execute()
        assert made.keys(3) == [f"{made.prefix}1"]
        told = made.play("deprovision", arguments=["--check"])
        assert (told.code, told.changed) == (0, 1) and "2 accounts, 1002 keys" in told.text, told.text
        assert client.ping()
        played = made.play("deprovision")
        assert (played.code, played.changed) == (0, 1) and "2 accounts, 1002 keys" in played.text, played.text
        with pytest.raises(redis.exceptions.ConnectionError):
            client.connection_pool.get_connection().read_response()
        assert made.keys() == made.keys(3) == []
        assert admin.exists(*neighbours, "operators") == 4
        assert tenant.accounts() == made.accounts() == sorted(found["username"] for found in tenant.bindings)
        admin.delete(*neighbours)
    again = made.play("deprovision")
    assert (again.code, again.changed) == (0, 0), again.text
    assert made.play("unbind", binding=binding).changed == 0
    server.restart()
    assert made.accounts() == tenant.accounts()


def test_server_that_does_not_answer_is_no_success(controller, server):
    """Unlike a server of one's own it comes back, with its accounts and keys."""
    made = redis_server.tenant_of(controller, server)
    binding = made.binding()
    server.stop()
    try:
        for action in ("provision", "unbind", "deprovision"):
            told = made.play(action, binding=binding, redis_answer_wait_seconds=0)
            assert told.code != 0 and f"nothing listens at 127.0.0.1:{server.port}" in told.text, told.text
    finally:
        server.start()


@pytest.mark.parametrize(
    ("unfit", "sentence"),
    [
        ("open", "lets everybody in without a password.*ACL SETUSER default off"),
        ("forgetful", "would be lost at the server's next start: set aclfile"),
        ("replica", "is a replica.*name its primary"),
        ("cluster", "is a node of a Redis Cluster"),
        ("limited", "may not do what is needed.*give it all rights"),
    ],
)
def test_server_that_cannot_be_shared_is_told_with_the_cure(unfit, sentence):
    """Before anybody is bound there."""
    settings = {"replica": {"replicaof": "127.0.0.1 1"}, "cluster": {"cluster-enabled": "yes", "cluster-port": ports.free()}}.get(unfit, {})
    program = redis_server.program_of("package") or redis_server.program_of("bundled")
    with redis_server.running(program, acl=unfit != "forgetful", by_file=unfit != "forgetful", **settings) as server:
        with server.admin() as admin:
            if unfit == "open":
                admin.execute_command("ACL", "SETUSER", "default", "on", "nopass")
            if unfit == "limited":
                admin.execute_command("ACL", "SETUSER", redis_server.ADMIN, "-acl")
        with pytest.raises(RedisError, match=sentence):
            redis_tenant.work(server.params(prefix="p:", state="present"), False)
