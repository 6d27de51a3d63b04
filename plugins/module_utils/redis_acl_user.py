"""One account of a Redis server: as described, or gone.

How a server writes down the rules of an account differs between versions (7.0 derives them from what they amount to).
So the server itself says what the wanted account would look like, by a scratch account that never outlives a transaction.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from ansible_collections.apb.catalog.plugins.module_utils import redis_connection
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError

try:
    from redis.exceptions import RedisError as ClientError
except ImportError:
    ClientError = OSError  # the module reports the missing library before anything is asked

SPEC = dict(
    **redis_connection.SPEC,
    name=dict(type="str", required=True),
    password=dict(type="str", no_log=True),
    password_hashes=dict(type="list", elements="str", no_log=True),
    rules=dict(type="list", elements="str", default=[]),
    save=dict(type="bool", default=True),
    state=dict(type="str", choices=["present", "absent"], default="present"),
)
_NAME = re.compile(r"[!-~]+")
_HASH = re.compile(r"[0-9a-f]{64}")
_PASSWORD_RULE = re.compile(r"[><#!]|nopass$|resetpass$|reset$|on$|off$", re.IGNORECASE)


def work(params: dict, check_mode: bool) -> dict:
    """What became of the account: changed, diff. Raises RedisError."""
    if not _NAME.fullmatch(params["name"]):
        raise RedisError(f"{params['name']!r} cannot be the name of an account")
    wanted = None if params["state"] == "absent" else definition(params)
    client = redis_connection.connect(params)
    try:
        return _bring(client, params, wanted, check_mode)
    except ClientError as error:
        raise RedisError(f"account {params['name']}: {error}") from error
    finally:
        client.close()


def definition(params: dict) -> list[str]:
    """The arguments of ACL SETUSER that make the account from nothing. Raises RedisError."""
    hashes = list(params["password_hashes"] or [])
    if params["password"] is not None:
        hashes.append(hashlib.sha256(params["password"].encode()).hexdigest())
    if not hashes:
        raise RedisError(f"account {params['name']}: a password or password_hashes is needed")
    if not all(map(_HASH.fullmatch, hashes)):
        raise RedisError(f"account {params['name']}: password_hashes have to be SHA-256, as 64 hexadecimal digits")
    for rule in params["rules"]:
        if _PASSWORD_RULE.match(rule):
            raise RedisError(f"account {params['name']}: rules may not hold {rule!r}: passwords and state have options of their own")
    return ["reset", "on", *(f"#{found}" for found in sorted(set(hashes))), *params["rules"]]


def _bring(client, params: dict, wanted: list[str] | None, check_mode: bool) -> dict:
    name = params["name"]
    before = client.execute_command("ACL", "GETUSER", name)
    after = None if wanted is None else _as_server_writes(client, wanted)
    if before != after and not check_mode:
        if wanted is None:
            client.execute_command("ACL", "DELUSER", name)  # ends its connections too
        else:
            client.execute_command("ACL", "SETUSER", name, *wanted)
    if params["save"] and not check_mode:
        # Also without a change: a run killed between change and save left it unsaved, and nothing tells.
        client.execute_command("ACL", "SAVE")
    return {"changed": before != after, "diff": {"before": _shown(before), "after": _shown(after)}}


def _as_server_writes(client, wanted: list[str]) -> object:
    scratch = f"apb_scratch_{uuid.uuid4().hex}"
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("ACL", "SETUSER", scratch, *wanted)
    pipeline.execute_command("ACL", "GETUSER", scratch)
    pipeline.execute_command("ACL", "DELUSER", scratch)
    answers = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers[1]


def _shown(account: object) -> dict | None:
    """The account for people: no password hashes."""
    if account is None:
        return None
    pairs = account if isinstance(account, dict) else dict(zip(account[::2], account[1::2], strict=True))
    return {field: value for field, value in pairs.items() if field != "passwords"}
