"""The Redis modules against servers of both generations, which write down the rules of an account differently."""

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis
import yaml
from ansible_collections.apb.catalog.plugins.module_utils import redis_acl_user, redis_config
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError, RefusedError

from tests.integration.collection.conftest import ROOT, bundled_redis, free_port

RULES = yaml.safe_load((ROOT / "roles" / "redis" / "vars" / "main.yml").read_text())["_redis_rules"]
REFUSED = """\
CONFIG GET maxmemory|CONFIG SET maxmemory 0|CONFIG REWRITE|ACL LIST|ACL SETUSER x on nopass +@all|ACL DELUSER default|ACL SAVE|ACL LOAD
SHUTDOWN NOSAVE|DEBUG SLEEP 0|MODULE LIST|MODULE LOAD /x.so|REPLICAOF 127.0.0.1 1|SLAVEOF NO ONE|MONITOR|CLIENT LIST|CLIENT KILL ID 1
CLIENT PAUSE 1|CLIENT NO-EVICT on|SAVE|BGSAVE|BGREWRITEAOF|FAILOVER|CLUSTER INFO|CLUSTER RESET|MIGRATE 127.0.0.1 1 a 0 1|SCRIPT DEBUG yes
PSYNC ? -1|SYNC|LATENCY RESET|SLOWLOG GET"""
WRITES = "SET a 1|DEL a|FLUSHALL|FLUSHDB|SWAPDB 0 1|RESTORE a 0 x|PUBLISH a b|EVAL 'return 1' 0|EXPIRE a 1|SORT a STORE b|GETDEL a|COPY a b"


class Server:
    """A Redis with an ACL file, stopped and started by the test."""

    def __init__(self, program, directory):
        self.program, self.directory, self.port, self.process = program, directory, free_port(), None
        (directory / "users.acl").write_text("user apb_admin on >admin-password ~* &* +@all\nuser default off\n")

    def start(self):
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory, "aclfile": self.directory / "users.acl", "save": ""}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([self.program, *words], stdout=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def params(self, **given):
        login = {"login_user": "apb_admin", "login_password": "admin-password", "wait_seconds": 10}
        return {"host": "127.0.0.1", "port": self.port, **login, **given}

    def account(self, name, *, check_mode=False, **given):
        options = {"name": name, "password": "p-password", "password_hashes": None, "rules": [], "save": True, "state": "present", **given}
        return redis_acl_user.work(self.params(**options), check_mode)["changed"]

    @contextlib.contextmanager
    def client(self, name, password="p-password"):
        with redis.Redis(
            host="127.0.0.1", port=self.port, username=name, password=password, decode_responses=True, single_connection_client=True
        ) as client:
            yield client


@pytest.fixture(scope="module", params=["package", "bundled"])
def server(request, tmp_path_factory):
    """One of the distribution's package, one newer."""
    program = shutil.which("redis-server") if request.param == "package" else bundled_redis()
    if program is None or not Path(program).exists():
        pytest.skip(f"no redis-server ({request.param}) on this machine")
    made = Server(program, tmp_path_factory.mktemp("redis"))
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("access", ["readwrite", "read"])
def test_account_is_made_once_and_outlives_a_restart(server, access):
    """Nothing changes the second time, also after the server read its accounts from the file."""
    assert server.account(access, rules=RULES[access], check_mode=True)
    assert server.account(access, rules=RULES[access])
    assert not server.account(access, rules=RULES[access])
    server.stop()
    server.start()
    assert not server.account(access, rules=RULES[access])
    with server.client(access) as client:
        assert client.ping()
    assert "scratch" not in (server.directory / "users.acl").read_text()


def test_account_that_differs_is_put_right(server):
    """Other rights, another password and switched off: each is seen."""
    server.account("drift", rules=RULES["read"])
    with server.client("apb_admin", "admin-password") as admin:
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
