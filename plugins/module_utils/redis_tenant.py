"""A tenant's share of a Redis server: the keys with its prefix, and the accounts that are limited to them.

Owns whether a server can be shared at all, and the end of a share. Making accounts is redis_accounts.py's.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from ansible_collections.apb.catalog.plugins.module_utils import redis_acl_user, redis_connection
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError

try:
    from redis.exceptions import NoPermissionError
    from redis.exceptions import RedisError as ClientError
except ImportError:
    ClientError, NoPermissionError = OSError, PermissionError  # the module reports the missing library before anything is asked

SPEC = dict(
    **redis_connection.SPEC,
    prefix=dict(type="str", required=True),
    state=dict(type="str", choices=["present", "absent"], default="present"),
)
OLDEST = (7, 0)  # older ones cannot limit an account to reading keys, nor to subcommands
BATCH = 500  # keys removed by one command: the server does nothing else meanwhile
LOOKED_AT = 1000  # keys looked at by one command, for the same reason
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*:")


def work(params: dict, check_mode: bool) -> dict:
    """What became of the share: changed, msg. Raises RedisError."""
    if not _PREFIX.fullmatch(params["prefix"]):
        raise RedisError(
            f"{params['prefix']!r} cannot be a prefix: it has to be made of letters, digits, '_', '.' and '-', and end with ':'"
        )
    client = redis_connection.connect(params)
    try:
        if params["state"] == "absent":
            return _end(client, params, check_mode)
        check(client)
    except NoPermissionError as error:
        raise RedisError(f"{params['login_user']} may not do what is needed: {error}; give it all rights: ~* &* +@all") from error
    except ClientError as error:
        raise RedisError(f"{params['prefix']}* on {params['host']}:{params['port']}: {error}") from error
    finally:
        client.close()
    return {"changed": False, "msg": ""}


def check(client) -> None:
    """Raises RedisError when tenants would not be safe from each other there, or would lose their accounts. It tells the cure."""
    server = client.info("server")
    version = str(server["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise RedisError(f"the server is Redis {version}: upgrade it to 7.0 or newer")
    if server.get("redis_mode") == "cluster":
        raise RedisError("the server is a node of a Redis Cluster, whose nodes do not share accounts: name a server that is not")
    if client.info("replication").get("role") != "master":
        raise RedisError("the server is a replica, which takes no writes: name its primary")
    if not redis_connection.setting(client, "aclfile") and not server.get("config_file"):
        raise RedisError(
            "accounts would be lost at the server's next start: set aclfile in its configuration, or start it with a configuration file"
        )
    if _is_open(client.execute_command("ACL", "GETUSER", "default")):
        raise RedisError(
            "the server lets everybody in without a password, tenants too: set requirepass in its configuration, "
            "or switch the account off: ACL SETUSER default off, then ACL SAVE"
        )


def _is_open(account: object) -> bool:
    """Whether the account that connections begin with can be used without a password."""
    pairs = account if isinstance(account, dict) else dict(zip(account[::2], account[1::2], strict=True))
    return {"on", "nopass"} <= set(pairs["flags"])


def accounts_of(lines: Iterable[str], prefix: str) -> list[str]:
    """Names of the accounts whose keys are the prefix' and no others, from the lines of ACL LIST."""
    found = []
    for line in lines:
        _user, name, *rules = line.split()
        keys = {rule for rule in rules if rule.startswith(("~", "%", "(", "allkeys"))}
        if keys and keys <= {f"~{prefix}*", f"%R~{prefix}*"}:
            found.append(name)
    return found


def _end(client, params: dict, check_mode: bool) -> dict:
    """Accounts first: nobody is left then who could add keys behind our back."""
    names = accounts_of(client.execute_command("ACL", "LIST"), params["prefix"])
    if names and not check_mode:
        client.execute_command("ACL", "DELUSER", *names)  # ends their connections too
    if not check_mode:
        redis_acl_user.save(client)  # also without a change: an earlier run may have been killed before it saved
    databases = [int(name.removeprefix("db")) for name in client.info("keyspace")]
    keys = sum(_remove_keys(params, database, check_mode) for database in databases)
    return {"changed": bool(names or keys), "msg": f"{len(names)} accounts, {keys} keys" if names or keys else ""}


def _remove_keys(params: dict, database: int, check_mode: bool) -> int:
    """How many there were. A tenant's COPY can reach databases other than 0."""
    client = redis_connection.connect(params, database)
    try:
        found = client.scan_iter(match=f"{params['prefix']}*", count=LOOKED_AT)
        if check_mode:
            return sum(1 for _key in found)
        return sum(client.unlink(*batch) for batch in batches(found, BATCH))
    finally:
        client.close()


def batches(found: Iterable[str], size: int) -> Iterator[list[str]]:
    """The same in lists of at most `size`."""
    iterator = iter(found)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
