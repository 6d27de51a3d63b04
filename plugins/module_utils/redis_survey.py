"""What apb has on Redis servers: accounts of bindings, and on servers that many share the keys of each share.

Owns how they are told from the operator's own: an account has a name as apb gives it and, on a shared server, the keys of one share alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from ansible_collections.apb.catalog.plugins.module_utils import redis_connection
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError

try:
    from redis.exceptions import RedisError as ClientError
except ImportError:
    ClientError = OSError  # the module reports the missing library before anything is asked

SERVER = dict(
    slug=dict(type="str"),
    host=dict(type="str", required=True),
    port=dict(type="int", required=True),
    login_user=dict(type="str", required=True),
    login_password=dict(type="str", required=True, no_log=True),
)
SPEC = dict(
    servers=dict(type="list", elements="dict", options=SERVER, required=True),
    username=dict(type="str", required=True),
    prefix=dict(type="str", required=True),
    keys=dict(type="str", required=True, no_log=False),
)
LOOKED_AT = 1000  # keys looked at by one command: the server does nothing else meanwhile


def work(params: dict, check_mode: bool) -> dict:
    """Changed (never), things [{kind, name, slug, account, detail}], and expects. Raises RedisError for a shared server."""
    things = [thing for server in params["servers"] for thing in _of_server(server, params)]
    own = all(server["slug"] for server in params["servers"])
    return {"changed": False, "things": things, "expects": {"instance": ["server"] if own else [], "binding": ["account"]}}


def _of_server(server: dict, params: dict) -> list[dict]:
    """An instance's own server that does not answer has nothing; that one is missing is seen by what is expected."""
    try:
        client = redis_connection.connect({**server, "wait_seconds": 0})
    except RedisError:
        if server["slug"] is None:
            raise
        return []
    try:
        lines = client.execute_command("ACL", "LIST")
        if server["slug"] is not None:
            return [
                _thing("server", f"{server['host']}:{server['port']}", server["slug"]),
                *_own(lines, server["slug"], params["username"]),
            ]
        return [*accounts_of(lines, params["username"], params["prefix"]), *_keys(client, server, params)]
    except ClientError as error:
        raise RedisError(f"{server['host']}:{server['port']}: {error}") from error
    finally:
        client.close()


def _thing(kind: str, name: str, slug: str, **more: str) -> dict:
    return {"kind": kind, "name": name, "slug": slug, "detail": "", **more}


def _own(lines: Iterable[str], slug: str, username: str) -> Iterator[dict]:
    """On an instance's own server every account of such a name is ours: tenants cannot make any."""
    for name in (line.split()[1] for line in lines):
        if re.fullmatch(username, name):
            yield _thing("account", name, slug, account=name)


def accounts_of(lines: Iterable[str], username: str, prefix: str) -> Iterator[dict]:
    """From the lines of ACL LIST: accounts of such a name whose keys are those of one share."""
    for line in lines:
        _user, name, *rules = line.split()
        keys = {rule for rule in rules if rule.startswith(("~", "%", "(", "allkeys"))}
        patterns = {rule.removeprefix("%R").removeprefix("~") for rule in keys}
        if re.fullmatch(username, name) and len(patterns) == 1 and re.fullmatch(rf"(?:{prefix})\*", found := patterns.pop()):
            yield _thing("account", name, found.removesuffix(":*"), account=name)


def _keys(client, server: dict, params: dict) -> Iterator[dict]:
    """One thing for all keys of a share, in whatever database of the server they are."""
    counted: Counter[str] = Counter()
    for name in client.info("keyspace"):
        within = redis_connection.connect({**server, "wait_seconds": 0}, int(name.removeprefix("db")))
        try:
            counted.update(key.partition(":")[0] for key in within.scan_iter(match=params["keys"], count=LOOKED_AT))
        finally:
            within.close()
    for slug, number in sorted(counted.items()):
        yield _thing("keys", f"{slug}:*", slug, detail=f"{number} of them")
