"""Settings of a running Redis server, changed without a restart. Writing them down for the next start is the caller's."""

from __future__ import annotations

from ansible_collections.apb.catalog.plugins.module_utils import redis_connection
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import RedisError

try:
    from redis.exceptions import RedisError as ClientError
except ImportError:
    ClientError = OSError  # the module reports the missing library before anything is asked

SPEC = dict(**redis_connection.SPEC, settings=dict(type="dict", default={}))


def work(params: dict, check_mode: bool) -> dict:
    """What became of the settings: changed, diff, msg. Raises RedisError."""
    client = redis_connection.connect(params)
    try:
        return _bring(client, params, check_mode)
    except ClientError as error:
        raise RedisError(f"settings of {params['host']}:{params['port']}: {error}") from error
    finally:
        client.close()


def _bring(client, params: dict, check_mode: bool) -> dict:
    wanted = {name: text(value) for name, value in params["settings"].items()}
    found = {name: redis_connection.setting(client, name) for name in wanted}
    changes = {name: value for name, value in wanted.items() if found[name] != value}
    if changes and not check_mode:
        client.execute_command("CONFIG", "SET", *(word for pair in changes.items() for word in pair))
    differences = [f"{name} is {found[name]}, not {value}" for name, value in sorted(changes.items())]
    return {"changed": bool(changes), "diff": {"before": found, "after": wanted}, "msg": "; ".join(differences)}


def text(value: object) -> str:
    """A value as CONFIG GET gives it back."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
