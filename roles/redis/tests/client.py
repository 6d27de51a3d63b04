"""A client of one Redis binding: python client.py [readwrite | read] < credentials.json

Exit code 0: the credentials work, and one line says what was done with them. 3: the service refuses them. Else: something is broken,
which includes an account that may do more or less than the access that is named.
"""

import json
import sys

import redis

KEPT_SECONDS = 3600


def main() -> int:
    """The program."""
    credentials = json.load(sys.stdin)
    expected = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        with redis.Redis.from_url(credentials["uri"], decode_responses=True, socket_timeout=10) as client:
            access, done = use(client, credentials.get("key_prefix", "") + "apb-client")
    except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError) as refused:
        print(f"refused: {refused}")
        return 3
    print(f"{access}: {done}")
    return 0 if expected in (None, access) else f"the account's access is {access}, not {expected}"


def use(client: redis.Redis, key: str) -> tuple[str, str]:
    """What the account may do, found by doing it."""
    try:
        client.set(key, "written by the client", ex=KEPT_SECONDS)
    except redis.exceptions.NoPermissionError:
        found = client.get(key)
        return "read", f"read {key} ({'nothing there' if found is None else found}), could not write it"
    found = client.get(key)
    if found != "written by the client":
        raise SystemExit(f"wrote {key} and read back {found!r}")
    return "readwrite", f"wrote and read {key}"


if __name__ == "__main__":
    sys.exit(main())
