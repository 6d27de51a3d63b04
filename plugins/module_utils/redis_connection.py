"""A connection to a Redis server as its administrator, and waiting until it answers."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator

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
NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT)


class RedisError(Exception):
    """The server does not do what was asked. The message holds no secret."""

    refused = False
    out_of_reach = False


class OutOfReachError(RedisError):
    """Nobody can tell how the server is: there is no way to its host, or it is only starting."""

    out_of_reach = True


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
        return OutOfReachError(f"the server at {address} is still loading its data")
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        return _unreachable(address, error)
    return None


def _unreachable(address: str, error: Exception) -> RedisError:
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return RefusedError(f"nothing listens at {address}")
    is_on_the_way = any(isinstance(cause, socket.gaierror) or getattr(cause, "errno", None) in NO_WAY for cause in causes)
    made = OutOfReachError if is_on_the_way or str(error).startswith("Timeout connecting") else RedisError
    return made(f"the server at {address} does not answer: {error}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def setting(client, name: str) -> str:
    """One of the server's settings, as it writes it. Raises RedisError."""
    answer = client.execute_command("CONFIG", "GET", name)
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    if list(pairs) != [name]:
        raise RedisError(f"the server has no setting {name!r}")
    return pairs[name]
