"""Makes tests/e2e/old anew: `python -m tests.e2e.make_old_database COMMIT`.

The database of a broker of that commit, as SQL, with two shares of a Redis, one of them with a binding; the key that all is sealed with, of
this database only; and what the binding's credentials are. The Redis itself is gone with this program.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from apb_broker.machine import backup, software
from apb_broker.machine.postgres import EmbeddedPostgres
from tests.conftest import short_path
from tests.e2e import earlier
from tests.e2e.machine import machine
from tests.integration.collection import redis_server

OLD = Path(__file__).parent / "old"
NOT_SQL = re.compile(r"^(\\(un)?restrict .*|SET transaction_timeout.*|SELECT pg_catalog\.set_config\('search_path'.*)\n", re.MULTILINE)


def main(commit: str) -> None:
    """The files."""
    OLD.mkdir(exist_ok=True)
    with machine() as made, short_path() as directory:
        code = earlier.checkout(commit, directory / "code")
        old = earlier.EarlierMachine(made.state, made.ports, code)
        server = EmbeddedPostgres(directory / "postgres", log_file=directory / "postgres.log")
        url = server.start(lambda _sentence: None, time.sleep)
        redis = redis_server.Server(redis_server.bundled_redis(), Path(tempfile.mkdtemp(dir=directory)))
        redis.start()
        try:
            configure(old, redis, url)
            old.start()
            for name in ("bound", "unbound"):
                old.apb("provision", "redis", "redis-tenant", name)
            credentials = old.apb("bind", "bound", "app")["credentials"]
            old.stop()
            (OLD / "database.sql").write_text(dumped(url))
        finally:
            redis.stop()
            server.stop()
        shutil.copy(made.state / "keys", OLD / "keys")
        (OLD / "made.json").write_text(json.dumps({"commit": commit, "port": redis.port, "credentials": credentials}, indent=2) + "\n")


def configure(old: earlier.EarlierMachine, redis: redis_server.Server, url: str) -> None:
    """As its own `apb up` would, with shares of the Redis besides."""
    code = "import sys; from apb_broker.machine import configuration as c, state as s; x = s.StateDirectory(sys.argv[1]); x.create(); "
    code += "c.first_configuration(x, sys.argv[2]); x.keep_database_url(sys.argv[3])"
    subprocess.run([sys.executable, "-c", code, str(old.state), old.listen, url], env=old.environment, cwd=old.cwd, check=True)
    password = old.state / "cache.password"
    password.touch(0o600)
    password.write_text(redis_server.ADMIN_PASSWORD)
    config = yaml.safe_load((old.state / "apb.yml").read_text())
    config["targets"]["shared"] = shared(redis.port)
    config["offers"].append({"plan": "redis/redis-tenant", "mode": "shared", "targets": ["shared"]})
    (old.state / "apb.yml").write_text(yaml.safe_dump(config))


def shared(port: int) -> dict[str, object]:
    """The target that such a Redis is."""
    return {
        "mode": "shared",
        "address": "127.0.0.1",
        "port": port,
        "username": redis_server.ADMIN,
        "password_file": "cache.password",
    }


def dumped(url: str) -> str:
    """The database as SQL that any client may send."""
    with backup.connection(url) as connection:
        command = [str(software.client_program("pg_dump")), "--inserts", "--no-owner", "--no-privileges", f"--dbname={connection}"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return NOT_SQL.sub("", text)


if __name__ == "__main__":
    main(sys.argv[1])
