"""One account of a Redis server: as described, or gone.

How a server writes down the rules of an account differs between versions (7.0 derives them from what they amount to).
So the server itself says what the wanted account would look like, by a scratch account that never outlives a transaction.
Several accounts at once are redis_accounts.py's.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from ansible_collections.apb.catalog.plugins.module_utils import redis_connection
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError

try:
    from redis.exceptions import OutOfMemoryError
    from redis.exceptions import RedisError as ClientError
except ImportError:
    ClientError, OutOfMemoryError = OSError, MemoryError  # the module reports the missing library before anything is asked

RIGHTS = dict(
    name=dict(type="str", required=True),
    password=dict(type="str", no_log=True),
    password_hashes=dict(type="list", elements="str", no_log=True),
    rules=dict(type="list", elements="str", default=[]),
    rules_if_known=dict(type="list", elements="str", default=[]),
)
SPEC = dict(
    **redis_connection.SPEC,
    **RIGHTS,
    save=dict(type="bool", default=True),
    state=dict(type="str", choices=["present", "absent"], default="present"),
)
_NAME = re.compile(r"[!-~]+")
_HASH = re.compile(r"[0-9a-f]{64}")
_COMMAND_RULE = re.compile(r"\+[a-z0-9|.-]+")
_PASSWORD_RULE = re.compile(r"[><#!]|nopass$|resetpass$|reset$|on$|off$", re.IGNORECASE)


def work(params: dict, check_mode: bool) -> dict:
    """What became of the account: changed, diff. Raises RedisError."""
    wanted = definition(params) if params["state"] == "present" else None
    check_name(params["name"])
    client = redis_connection.connect(params)
    try:
        before, after = bring(client, params["name"], wanted, params["rules_if_known"], check_mode)
        if params["save"] and not check_mode:
            # Also without a change: a run killed between change and save left it unsaved, and nothing tells.
            save(client)
    except ClientError as error:
        raise RedisError(f"account {params['name']}: {error}") from error
    finally:
        client.close()
    return {"changed": before != after, "diff": {"before": shown(before), "after": shown(after)}}


def check_name(name: str) -> None:
    """Raises RedisError for what a server would not take as a name, or take for something else."""
    if not _NAME.fullmatch(name):
        raise RedisError(f"{name!r} cannot be the name of an account")


def definition(params: dict) -> list[str]:
    """The arguments of ACL SETUSER that make the account from nothing. Raises RedisError."""
    hashes = list(params["password_hashes"] or [])
    if params["password"] is not None:
        hashes.append(hashlib.sha256(params["password"].encode()).hexdigest())
    if not hashes:
        raise RedisError(f"account {params['name']}: a password or password_hashes is needed")
    if not all(map(_HASH.fullmatch, hashes)):
        raise RedisError(f"account {params['name']}: password_hashes have to be SHA-256, as 64 hexadecimal digits")
    for rule in [*params["rules"], *params["rules_if_known"]]:
        if _PASSWORD_RULE.match(rule):
            raise RedisError(f"account {params['name']}: rules may not hold {rule!r}: passwords and state have options of their own")
    for rule in params["rules_if_known"]:
        if not _COMMAND_RULE.fullmatch(rule):
            raise RedisError(f"account {params['name']}: rules_if_known may hold commands only, like '+client|setinfo', not {rule!r}")
    return ["reset", "on", *(f"#{found}" for found in sorted(set(hashes))), *params["rules"]]


def bring(client, name: str, wanted: list[str] | None, if_known: list[str], check_mode: bool) -> tuple[object, object]:
    """The account before and after, as the server writes it; None when there is none. `wanted` is a definition(), None removes."""
    before = client.execute_command("ACL", "GETUSER", name)
    if wanted is None:
        after = None
    else:
        wanted = [*wanted, *_known(client, if_known)]
        try:
            after = _as_server_writes(client, wanted)
        except OutOfMemoryError:
            if not check_mode:
                raise
            after = _without_a_scratch(before, wanted)
    if before != after and not check_mode:
        if wanted is None:
            client.execute_command("ACL", "DELUSER", name)  # ends its connections too
        else:
            client.execute_command("ACL", "SETUSER", name, *wanted)
    return before, after


def save(client) -> None:
    """Writes all accounts where the server finds them at its next start. Raises RedisError when there is no such place."""
    aclfile = redis_connection.setting(client, "aclfile")
    try:
        client.execute_command(*(("ACL", "SAVE") if aclfile else ("CONFIG", "REWRITE")))
    except ClientError as error:
        place = aclfile or "the server's configuration file"
        raise RedisError(
            f"the accounts could not be written to {place}, so they would be lost at the server's next start: {error}; "
            "let the server's user write that file and its directory (without an aclfile, start the server with a configuration file)"
        ) from error


def _known(client, rules: list[str]) -> list[str]:
    """Those rules whose command this server has: others would make it refuse all of them."""
    if not rules:
        return []
    found = client.execute_command("COMMAND INFO", *(rule[1:] for rule in rules))
    if isinstance(found, dict):
        return [rule for rule in rules if rule[1:] in found]
    return [rule for rule, info in zip(rules, found, strict=True) if info]


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


def _without_a_scratch(before: object, wanted: list[str]) -> object:
    """A server whose memory is full makes no account at all. That is the tenant's affair: only whether the account is there is compared."""
    described = {"rules": " ".join(word for word in wanted if not word.startswith("#"))}
    if before is None:
        return described
    pairs = before if isinstance(before, dict) else dict(zip(before[::2], before[1::2], strict=True))
    hashes = {word[1:] for word in wanted if word.startswith("#")}
    return before if hashes == {str(found).removeprefix("#") for found in pairs["passwords"]} else described


def shown(account: object) -> dict | None:
    """The account for people: no password hashes."""
    if account is None:
        return None
    pairs = account if isinstance(account, dict) else dict(zip(account[::2], account[1::2], strict=True))
    return {field: value for field, value in pairs.items() if field != "passwords"}
