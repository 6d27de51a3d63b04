"""A Redis server of the operator's: accounts in a file, an account for apb."""

import hashlib
import secrets
import signal
import subprocess
from pathlib import Path

import place
import redis


def start(directory: Path) -> dict:
    (port,), password = place.free_ports(1), secrets.token_urlsafe(24)
    home = directory / "redis"
    home.mkdir(mode=0o700)
    hashed = hashlib.sha256(password.encode()).hexdigest()
    place.write_private(home / "users.acl", f"user default off\nuser apb on #{hashed} ~* &* +@all\n")
    settings = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": home,
        "aclfile": home / "users.acl",
        "pidfile": home / "pid",
        "logfile": home / "log",
    }
    (home / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()) + "daemonize yes\n")
    subprocess.run(["redis-server", home / "redis.conf"], check=True)
    place.wait_for(lambda: place.answers(port), "the start of redis-server")
    return {"apb_server": {"host": "127.0.0.1", "port": port, "username": "apb", "password": password}}


def content(directory: Path) -> list[str]:
    server = place.server_of(directory)
    with redis.Redis(
        server["host"], server["port"], username=server["username"], password=server["password"], decode_responses=True
    ) as client:
        return [f"account {name}" for name in client.acl_users()] + [f"key {key}" for key in client.scan_iter()]


def stop(directory: Path) -> None:
    place.end_process(directory / "redis/pid", signal.SIGTERM)


if __name__ == "__main__":
    place.run(start, content, stop)
