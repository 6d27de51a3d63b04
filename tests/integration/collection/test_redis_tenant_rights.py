"""What an account of a tenant can do on a Redis that others use too: each command the server has, in every place a key can stand."""

import itertools

import pytest
import redis

from tests.integration.collection import redis_commands, redis_server

OWN, FOREIGN = "redis-0a0a0a0a0a0a:", "redis-0b0b0b0b0b0b:"
ACCESS = ["readwrite", "read"]

# Each is tried by a real client, besides what the server says it would do.
REFUSED = """\
GET K|SET K 1|MGET OWN K|MSET OWN 1 K 1|DEL K|UNLINK OWN K|EXISTS K|TYPE K|TTL K|TOUCH K|DUMP K|EXPIRE K 1|APPEND K x|GETSET K x|GETDEL K
COPY OWN K|COPY K OWN|COPY OWN K DB 1 REPLACE|RENAME OWN K|RENAME K OWN|RENAMENX OWN K|SMOVE OWN K a|SMOVE K OWN a|LMOVE OWN K LEFT LEFT
RPOPLPUSH K OWN|BRPOPLPUSH OWN K 1|BLPOP OWN K 1|BLMPOP 1 2 OWN K LEFT|SORT K|SORT OWN BY K|SORT OWN BY nosort GET K|SORT OWN STORE K
SORT_RO OWN BY K|XREAD STREAMS OWN K 0 0|XREADGROUP GROUP g c STREAMS K >|BITOP AND OWN K|BITOP AND K OWN|GEORADIUS OWN 0 0 1 km STORE K
PFMERGE K|PFMERGE OWN K|GEORADIUSBYMEMBER OWN a 1 km STOREDIST K|GEOSEARCHSTORE K OWN FROMMEMBER a BYRADIUS 1 km|ZUNIONSTORE OWN 2 OWN K
ZUNION 2 OWN K|SUNION OWN K|ZRANGESTORE K OWN 0 1|LCS OWN K|PFCOUNT K|OBJECT ENCODING K|OBJECT FREQ K|OBJECT IDLETIME K|WATCH K
MEMORY USAGE K|DEBUG OBJECT K|XINFO STREAM K|SCAN 0|SCAN 0 MATCH OWN*|KEYS *|KEYS OWN*|RANDOMKEY|DBSIZE|FLUSHALL|FLUSHDB|SWAPDB 0 1
SELECT 1|SELECT 0|MOVE OWN 1|MOVE K 1|RESTORE OWN 0 x|MIGRATE 127.0.0.1 1 K 0 1|MIGRATE 127.0.0.1 1 OWN 0 1|WAIT 0 1|WAITAOF 0 0 1
FUNCTION LIST|FUNCTION LOAD x|FUNCTION FLUSH|FUNCTION DUMP|SCRIPT LOAD x|SCRIPT FLUSH|SCRIPT EXISTS x|SCRIPT KILL|SCRIPT DEBUG yes
EVAL 'return 1' 0|EVAL 'return 1' 1 OWN|EVAL_RO 'return 1' 0|EVALSHA x 0|EVALSHA_RO x 0|FCALL f 0|FCALL_RO f 0|CONFIG GET *
CONFIG SET maxmemory 1|CONFIG REWRITE|CONFIG RESETSTAT|CLIENT LIST|CLIENT LIST ID 1|CLIENT KILL ID 1|CLIENT PAUSE 1|CLIENT UNPAUSE
CLIENT NO-EVICT on|CLIENT UNBLOCK 1|CLIENT TRACKING on|CLIENT TRACKING on BCAST|CLIENT TRACKINGINFO|CLIENT TRACKING on BCAST PREFIX K
CLIENT TRACKING on BCAST PREFIX OWN|CLIENT CACHING yes|CLIENT GETREDIR|PUBSUB CHANNELS|PUBSUB NUMSUB K|PUBSUB NUMPAT|PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB K|MONITOR|DEBUG SLEEP 0|INFO|INFO server|ACL LIST|ACL USERS|ACL GETUSER default|ACL SETUSER me +@all
ACL DELUSER default|ACL SAVE|ACL LOAD|ACL LOG|ACL CAT|ACL DRYRUN default get a|ACL GENPASS|LATENCY LATEST|LATENCY RESET|MEMORY STATS
MEMORY DOCTOR|MEMORY PURGE|MODULE LIST|MODULE LOAD /x.so|SHUTDOWN NOSAVE|REPLICAOF 127.0.0.1 1|SLAVEOF NO ONE|PSYNC ? -1|SYNC|REPLCONF x
SAVE|BGSAVE|BGREWRITEAOF|LASTSAVE|ROLE|FAILOVER|CLUSTER INFO|CLUSTER RESET|READONLY|READWRITE|ASKING|SLOWLOG GET|LOLWUT|PFSELFTEST
PFDEBUG ENCODING OWN|SUBSCRIBE K|SUBSCRIBE OWN K|SUBSCRIBE __keyspace@0__:OWN|SUBSCRIBE __keyevent@0__:set|PSUBSCRIBE *|PSUBSCRIBE K*
PSUBSCRIBE __key*__:*|SSUBSCRIBE K|PUBLISH K x|SPUBLISH K x|PUBLISH __redis__:invalidate x"""


@pytest.fixture(scope="module", params=["package", "bundled"])
def server(request):
    """A server with two tenants, each with an account of either access and a key of its own."""
    program = redis_server.program_of(request.param)
    if program is None:
        pytest.skip(f"no redis-server ({request.param}) on this machine")
    # So that it is the account's rights that refuse them, and not the server's settings.
    with redis_server.running(program, **{"enable-debug-command": "yes", "enable-module-command": "yes"}) as made:
        for prefix, access in itertools.product((OWN, FOREIGN), ACCESS):
            made.account(f"{access}-{prefix}", **redis_server.rules_of("shared", access, prefix))
        with made.admin() as admin:
            admin.mset({f"{OWN}key": "mine", f"{FOREIGN}key": "theirs", "theirs": "operator's"})
        yield made


def commands(table):
    """All commands, subcommands by themselves: (name, fewest words). `table` is the answer to COMMAND."""
    for name, arity, *_rest, subcommands in table:
        if subcommands:
            yield from commands(subcommands)
        else:
            yield str(name), max(abs(arity), len(str(name).split("|")))


def raw(server, name=redis_server.ADMIN, password=redis_server.ADMIN_PASSWORD):
    """A connection whose answers nobody interprets."""
    made = redis.Connection(host="127.0.0.1", port=server.port, username=name, password=password, decode_responses=True, socket_timeout=5)
    made.connect()
    return made


def ask(connection, *words):
    connection.send_command(*words)
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def would(admin, account, line):
    """What the server says to a command of that account: OK, or why not."""
    return str(ask(admin, "ACL", "DRYRUN", account, *line[0].split("|"), *line[1:]))


def allowed_to(admin, account, known):
    """Which of the commands the account may run at all, whatever it names."""
    return {
        name for name, words in known.items() if "to run the" not in would(admin, account, [name, *["x"] * (words - len(name.split("|")))])
    }


PLACES = ("K", "C", "P")


def put(line, foreign=None, place=None):
    """The line with the tenant's own names in its places, and the foreign one in that place."""
    places = itertools.count()
    own = {"K": f"{OWN}key", "C": f"{OWN}news", "P": f"{OWN}*"}
    return [foreign if word in own and next(places) == place else own.get(word, word) for word in line]


@pytest.mark.parametrize("access", ACCESS)
def test_every_command_of_the_server_is_refused_or_reviewed(server, access):
    """A command that nobody reviewed, of this version or the next, fails here."""
    admin, account = raw(server), f"{access}-{OWN}"
    known = dict(commands(ask(admin, "COMMAND")))
    allowed = allowed_to(admin, account, known)
    assert len(known) > 200
    assert allowed - redis_commands.WITHOUT_LOGIN == set(redis_commands.REVIEWED[access]) & set(known)
    assert len(allowed) > (170 if access == "readwrite" else 90)


@pytest.mark.parametrize("access", ACCESS)
def test_reviewed_command_takes_ones_own_names_and_refuses_others_in_each_place(server, access):
    """A foreign key or channel in any single place is enough for the server to refuse."""
    admin, account = raw(server), f"{access}-{OWN}"
    known = dict(commands(ask(admin, "COMMAND")))
    for name, line in redis_commands.REVIEWED[access].items():
        places = sum(word in PLACES for word in line)
        if name not in known or not places:
            continue
        assert would(admin, account, put(line)) == "OK", line
        for foreign, place in itertools.product((f"{FOREIGN}key", f"{FOREIGN}*", "theirs", "*", "", OWN[:-1], f"x{OWN}key"), range(places)):
            attempt = put(line, foreign, place)
            assert "no permissions to access" in would(admin, account, attempt), attempt


@pytest.mark.parametrize("access", ACCESS)
def test_command_without_ones_own_key_is_refused_or_wrong(server, access):
    """Also with arguments in which the server finds no key: it may not get as far as doing something."""
    admin, tenant = raw(server), raw(server, f"{access}-{OWN}", redis_server.PASSWORD)
    with server.admin() as client:
        before = {key: client.dump(key) for key in client.scan_iter()}
    for name, words in commands(ask(admin, "COMMAND")):
        line = redis_commands.REVIEWED[access].get(name)
        if line is None or not set(PLACES) & set(line):
            continue
        given = name.split("|")
        for count, fill, first in itertools.product(
            range(words - len(given), words - len(given) + 4), ["1", "0", "theirs"], ["1", "theirs"]
        ):
            attempt = [*given, *([first] + [fill] * (count - 1) if count else [])]
            assert isinstance(ask(tenant, *attempt), redis.ResponseError), attempt
    with server.admin() as client:
        assert {key: client.dump(key) for key in client.scan_iter()} == before


@pytest.mark.parametrize("access", ACCESS)
def test_tenant_is_refused_what_belongs_to_others(server, access):
    """Each tried by a real client: keys, channels, and everything that concerns the whole server."""
    with server.admin() as admin:
        admin.delete(f"{OWN}key")
        admin.zadd(f"{OWN}key", {"a": 0})
        before = {key: admin.dump(key) for key in admin.scan_iter()}
    tenant = raw(server, f"{access}-{OWN}", redis_server.PASSWORD)
    for command in REFUSED.replace("\n", "|").split("|"):
        answer = ask(tenant, *(named(word) for word in command.split()))
        assert isinstance(answer, redis.ResponseError), (command, answer)
        assert isinstance(answer, redis.exceptions.NoPermissionError) or "unknown command" in str(answer), (command, answer)
    with server.admin() as admin:
        assert {key: admin.dump(key) for key in admin.scan_iter()} == before


def named(word):
    """A word of REFUSED as it is sent."""
    if word in ("K", "K*"):
        return word.replace("K", f"{FOREIGN}key")
    return word.replace("OWN", f"{OWN}key")


@pytest.mark.parametrize("access", ACCESS)
def test_upgrade_of_the_server_gives_a_tenant_nothing_that_is_not_its_own(access):
    """Redis 7.0 writes accounts down by categories, to which a newer server adds: until the next provision, that has to do no harm."""
    older, newer = redis_server.program_of("package"), redis_server.program_of("bundled")
    if older is None or newer is None:
        pytest.skip("not both generations of redis-server on this machine")
    with redis_server.running(older) as server:
        account = f"{access}-{OWN}"
        server.account(account, **redis_server.rules_of("shared", access, OWN))
        server.stop()
        server.program = newer
        server.start()
        admin = raw(server)
        known = dict(commands(ask(admin, "COMMAND")))
        gained = allowed_to(admin, account, known) - redis_commands.WITHOUT_LOGIN - set(redis_commands.REVIEWED[access])
        for name in gained:
            attempt = put(redis_commands.REVIEWED["readwrite"][name])  # a KeyError: something nobody reviewed
            assert access == "read" and "no permissions to access" in would(admin, account, attempt), attempt
        assert server.account(account, **redis_server.rules_of("shared", access, OWN))  # seen as a difference, and put right
        assert allowed_to(admin, account, known) - redis_commands.WITHOUT_LOGIN == set(redis_commands.REVIEWED[access]) & set(known)
