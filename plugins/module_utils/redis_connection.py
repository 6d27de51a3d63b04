"""A connection to a Redis server as its administrator, and waiting until it answers."""

from __future__ import annotations

import time

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    IMPORT_ERROR = None
except ImportError as error:
    IMPORT_ERROR = error

SPEC = dict(
    host=dict(type="str", required=True),
    port=dict(type="int", required=True),
    login_user=dict(type="str", required=True),
    login_password=dict(type="str", required=True, no_log=True),
    wait_seconds=dict(type="int", default=0),
)
TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.05


class RedisError(Exception):
    """The server does not do what was asked. The message holds no secret."""

    refused = False


class RefusedError(RedisError):
    """Nothing listens there: the host answers, and says so."""

    refused = True


def connect(params: dict, database: int = 0):
    """A client whose server answered. Waits at most `wait_seconds` for one that starts, restarts or loads its data. Raises RedisError."""
    client = redis.Redis(
        host=params["host"],
        port=params["port"],
        db=database,
        username=params["login_user"],
        password=params["login_password"],
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        decode_responses=True,
        single_connection_client=False,
        retry=Retry(NoBackoff(), 0),
    )
    end = time.monotonic() + params["wait_seconds"]
    while (problem := _problem(client, params)) is not None:
        if time.monotonic() >= end:
            raise problem
        time.sleep(PAUSE_SECONDS)
    return client


def _problem(client, params: dict) -> RedisError | None:
    """Why the server cannot be used now, None if it can. Raises RedisError when waiting would not help."""
    address = f"{params['host']}:{params['port']}"
    try:
        client.ping()
    except redis.exceptions.AuthenticationError as error:
        raise RedisError(
            f"the server at {address} does not accept the password of {params['login_user']}: "
            "it is not this instance's server, or its accounts were changed"
        ) from error
    except redis.exceptions.BusyLoadingError:
        return RedisError(f"the server at {address} is still loading its data")
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        return _unreachable(address, error)
    return None


def _unreachable(address: str, error: Exception) -> RedisError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return RefusedError(f"nothing listens at {address}")
        cause = cause.__cause__ or cause.__context__
    return RedisError(f"the server at {address} does not answer: {error}")


def setting(client, name: str) -> str:
    """One of the server's settings, as it writes it. Raises RedisError."""
    answer = client.execute_command("CONFIG", "GET", name)
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    if list(pairs) != [name]:
        raise RedisError(f"the server has no setting {name!r}")
    return pairs[name]
