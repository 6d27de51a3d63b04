"""Accounts of a Redis server, several at once: each as redis_acl_user.py would make it, and saved once. Others are left alone."""

from __future__ import annotations

from ansible_collections.apb.catalog.plugins.module_utils import redis_acl_user, redis_connection
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError

try:
    from redis.exceptions import RedisError as ClientError
except ImportError:
    ClientError = OSError  # the module reports the missing library before anything is asked

SPEC = dict(
    **redis_connection.SPEC,
    accounts=dict(type="list", elements="dict", options=redis_acl_user.RIGHTS, required=True),
)


def work(params: dict, check_mode: bool) -> dict:
    """What became of the accounts: changed, diff, msg. Raises RedisError."""
    for account in params["accounts"]:
        redis_acl_user.check_name(account["name"])
    wanted = {account["name"]: redis_acl_user.definition(account) for account in params["accounts"]}
    if_known = {account["name"]: account["rules_if_known"] for account in params["accounts"]}
    client = redis_connection.connect(params)
    try:
        found = {name: redis_acl_user.bring(client, name, rules, if_known[name], check_mode) for name, rules in wanted.items()}
        if not check_mode:
            redis_acl_user.save(client)  # also without a change: an earlier run may have been killed before it saved
    except ClientError as error:
        raise RedisError(f"accounts of {params['host']}:{params['port']}: {error}") from error
    finally:
        client.close()
    return _told({name: states for name, states in found.items() if states[0] != states[1]})


def _told(changes: dict) -> dict:
    sentences = [f"account {name} {'is missing' if before is None else 'differs'}" for name, (before, _after) in sorted(changes.items())]
    before = {name: redis_acl_user.shown(states[0]) for name, states in changes.items()}
    after = {name: redis_acl_user.shown(states[1]) for name, states in changes.items()}
    return {"changed": bool(changes), "msg": "; ".join(sentences), "diff": {"before": before, "after": after}}
