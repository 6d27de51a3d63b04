"""The Redis modules against servers of both generations, which write down the rules of an account differently."""

import time

import pytest
import redis
from ansible_collections.apb.catalog.plugins.module_utils import redis_config
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError, RefusedError

from tests.integration.collection import redis_server

RULES = {access: redis_server.rules_of("host", access)["rules"] for access in ("readwrite", "read")}
REFUSED = """\
CONFIG GET maxmemory|CONFIG SET maxmemory 0|CONFIG REWRITE|ACL LIST|ACL SETUSER x on nopass +@all|ACL DELUSER default|ACL SAVE|ACL LOAD
SHUTDOWN NOSAVE|DEBUG SLEEP 0|MODULE LIST|MODULE LOAD /x.so|REPLICAOF 127.0.0.1 1|SLAVEOF NO ONE|MONITOR|CLIENT LIST|CLIENT KILL ID 1
CLIENT PAUSE 1|CLIENT NO-EVICT on|SAVE|BGSAVE|BGREWRITEAOF|FAILOVER|CLUSTER INFO|CLUSTER RESET|MIGRATE 127.0.0.1 1 a 0 1|SCRIPT DEBUG yes
PSYNC ? -1|SYNC|LATENCY RESET|SLOWLOG GET"""
WRITES = "SET a 1|DEL a|FLUSHALL|FLUSHDB|SWAPDB 0 1|RESTORE a 0 x|PUBLISH a b|EVAL 'return 1' 0|EXPIRE a 1|SORT a STORE b|GETDEL a|COPY a b"


@pytest.fixture(scope="module", params=["package", "bundled"])
def server(request):
    """One of the distribution's package, one newer."""
    program = redis_server.program_of(request.param)
    if program is None:
        pytest.skip(f"no redis-server ({request.param}) on this machine")
    with redis_server.running(program) as made:
        yield made


@pytest.mark.parametrize("access", ["readwrite", "read"])
def test_account_is_made_once_and_outlives_a_restart(server, access):
    """Nothing changes the second time, also after the server read its accounts from the file."""
    assert server.account(access, rules=RULES[access], check_mode=True)
    assert server.account(access, rules=RULES[access])
    assert not server.account(access, rules=RULES[access])
    server.restart()
    assert not server.account(access, rules=RULES[access])
    with server.client(access) as client:
        assert client.ping()
    assert "scratch" not in (server.directory / "users.acl").read_text()


def test_account_that_differs_is_put_right(server):
    """Other rights, another password and switched off: each is seen."""
    server.account("drift", rules=RULES["read"])
    with server.admin() as admin:
        for drift in ("+set", "off", ">another-password", "~*", "resetchannels"):
            admin.execute_command("ACL", "SETUSER", "drift", drift)
            assert server.account("drift", rules=RULES["read"], check_mode=True), drift
            assert server.account("drift", rules=RULES["read"]), drift
            assert not server.account("drift", rules=RULES["read"]), drift


def test_account_changed_but_not_saved_is_saved_by_the_next_run(server):
    """A run may be killed between the two."""
    server.account("unsaved", rules=RULES["read"], save=False)
    assert "unsaved" not in (server.directory / "users.acl").read_text()
    assert not server.account("unsaved", rules=RULES["read"])
    assert "unsaved" in (server.directory / "users.acl").read_text()


@pytest.mark.parametrize("access", ["readwrite", "read"])
def test_tenant_cannot_touch_server_accounts_and_host(server, access):
    """Whatever leads out of one's own data is refused."""
    server.account(access, rules=RULES[access])
    for command in REFUSED.replace("\n", "|").split("|"):
        # DEBUG is refused to everybody, whatever its rights, by the settings.
        with server.client(access) as client, pytest.raises(redis.exceptions.ResponseError, match=r"no permissions|not allowed"):
            client.execute_command(*command.split())
            pytest.fail(command)


def test_tenant_can_use_the_server(server):
    """What applications and their libraries do, including emptying their own server."""
    server.account("readwrite", rules=RULES["readwrite"])
    with server.client("readwrite") as client:
        client.flushall()
        client.rpush("l", 2, 1)
        assert client.sort("l") == ["1", "2"] and client.keys() == ["l"]
        assert client.eval("return redis.call('INCR', KEYS[1])", 1, "n") == 1
        assert client.info("memory")["used_memory"] and client.role()[0] in ("master", b"master")
        assert client.client_setname("app") and client.client_id() and client.acl_whoami() == "readwrite"
        client.xgroup_create("s", "g", mkstream=True)
        with client.pipeline(transaction=True) as transaction:
            assert transaction.set("a", 1).get("a").execute() == [True, "1"]


def test_reader_reads_and_cannot_write(server):
    """Every way to write is refused, every way to read works."""
    server.account("readwrite", rules=RULES["readwrite"])
    server.account("read", rules=RULES["read"])
    with server.client("readwrite") as writer:
        writer.set("a", "1")
    with server.client("read") as client:
        assert client.get("a") == "1" and client.keys("a") == ["a"] and list(client.scan_iter("a")) == ["a"] and client.info()
        with client.pipeline(transaction=True) as transaction:
            assert transaction.get("a").execute() == ["1"]
        subscribed = client.pubsub()
        subscribed.subscribe("news")
        assert subscribed.get_message(timeout=5)["type"] == "subscribe"
        subscribed.close()
    for command in WRITES.split("|"):
        with server.client("read") as client, pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())
            pytest.fail(command)


def test_removed_account_is_gone_with_its_connections(server):
    """Whoever is still connected is cut off; removing it again changes nothing."""
    server.account("leaver", rules=RULES["readwrite"])
    with server.client("leaver") as client:
        client.ping()
        assert server.account("leaver", state="absent", check_mode=True)
        client.ping()
        assert server.account("leaver", state="absent")
        with pytest.raises(redis.exceptions.ConnectionError):
            client.connection.read_response()
    assert not server.account("leaver", state="absent")
    assert "leaver" not in (server.directory / "users.acl").read_text()


def test_setting_is_changed_once(server):
    """Check mode tells, the first run changes, the second finds it done."""
    params = server.params(settings={"maxmemory": 123000000})
    told = redis_config.work(params, True)
    assert told["changed"] and told["msg"].endswith("not 123000000")
    assert redis_config.work(params, False)["changed"]
    assert not redis_config.work(params, False)["changed"]
    with pytest.raises(RedisError, match="no setting 'maxmemori'"):
        redis_config.work(server.params(settings={"maxmemori": 1}), False)


def test_server_that_starts_later_is_awaited(server):
    """Nothing listens at first; the module waits as long as it was told to."""
    server.stop()
    with pytest.raises(RefusedError, match="nothing listens"):
        redis_config.work(server.params(settings={}, wait_seconds=0), False)
    server.start()
    redis_config.work(server.params(settings={}), False)


def test_wrong_administrator_is_told_at_once(server):
    """Waiting would not help: another server has the port, or somebody changed its accounts."""
    began = time.monotonic()
    with pytest.raises(RedisError, match="does not accept the password of apb_admin") as told:
        redis_config.work(server.params(login_password="wrong-password"), False)
    assert time.monotonic() - began < 5
    assert "wrong-password" not in str(told.value)


def test_accounts_are_made_together_and_told_by_name(server):
    """One call for all of them; those that are not named are left alone, and what is said holds no password."""
    server.account("bystander", rules=RULES["read"])
    both = [{"name": "first", "rules": RULES["read"]}, {"name": "second", "rules": RULES["readwrite"]}]
    told = server.accounts(*both, check_mode=True)
    assert told["changed"] and told["msg"] == "account first is missing; account second is missing"
    assert server.accounts(*both)["changed"]
    assert server.accounts(*both) == {"changed": False, "msg": "", "diff": {"before": {}, "after": {}}}
    with server.admin() as admin:
        assert {"first", "second", "bystander"} <= set(admin.acl_users())
        admin.execute_command("ACL", "SETUSER", "second", "-get")
    told = server.accounts(*both)
    assert told["msg"] == "account second differs"
    assert "passwords" not in str(told)


def test_right_to_a_command_that_the_server_lacks_is_left_out(server):
    """Libraries use newer commands where there are some; an older server would refuse the whole account."""
    for _again in range(2):
        server.account("newer", rules=["~*", "-@all", "+get"], rules_if_known=["+client|id", "+no-such-command", "+client|no-such"])
    with server.client("newer") as client:
        assert client.client_id()
    with pytest.raises(RedisError, match="commands only"):
        server.account("newer", rules_if_known=["~*"])


@pytest.mark.parametrize("generation", ["package", "bundled"])
def test_accounts_go_to_the_configuration_file_when_there_is_no_acl_file(generation):
    """Servers may be configured either way; the accounts outlive a restart in both."""
    program = redis_server.program_of(generation)
    if program is None:
        pytest.skip(f"no redis-server ({generation}) on this machine")
    with redis_server.running(program, acl=False) as server:
        assert server.account("kept", rules=RULES["read"])
        server.restart()
        assert not server.account("kept", rules=RULES["read"])


def test_accounts_that_cannot_be_written_down_are_told_with_the_cure(server):
    """Otherwise they would be gone after the next restart of the server, without a word."""
    before = server.acl.read_bytes()
    server.acl.unlink()
    server.acl.mkdir()
    try:
        with pytest.raises(RedisError, match=r"could not be written to .*users.acl.*let the server's user write that file"):
            server.account("unwritten", rules=RULES["read"])
    finally:
        server.acl.rmdir()
        server.acl.write_bytes(before)
        server.account("unwritten", state="absent")
