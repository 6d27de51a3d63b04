"""The whole of apb for faults to be done to: a web server, two workers, PostgreSQL, servers to have shares of, and a service of our own.

What dies is started again, as `apb up` or systemd would. As root all of it lives in a mount namespace of its own, which everything that it
starts inherits and cannot hide, with a small file system in place of /dev/shm, where runs have their directories.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg
import yaml

from apb_broker.machine import configuration
from apb_broker.machine.errors import MachineError
from apb_broker.machine.state import StateDirectory
from apb_broker.storage.migrate import migrate
from tests import ports
from tests.e2e import own_services
from tests.e2e.machine import free_ports, wait
from tests.faults import stubborn
from tests.faults.journal import Journal
from tests.integration.collection import postgresql_server, redis_server

WORKERS = 2
DISK_MB = 48
SETTINGS = {
    "lease_seconds": 3,
    "grace_seconds": 3,  # longer than what a supervisor grants its run after the lease
    "cancel_grace_seconds": 2,
    "operation_deadline_seconds": 240,
    "max_attempts": 12,
    "concurrency": 4,
    "executor": os.environ.get("APB_TEST_EXECUTOR", "warm"),
}
PREPARE = """
import sys, time
from pathlib import Path
from apb_broker.machine import environment, preparation
host = Path(sys.argv[1])
preparation.prepare_host(host, host.parent / "logs/prepare.log", environment.of_children(), time.sleep, roles=["apb.catalog.redis"])
"""
# The time that one operation has can be made shorter, in the transaction that accepts it.
DEADLINES = """
CREATE TABLE short_deadlines (instance_id text, kind text, seconds double precision);
CREATE FUNCTION shorten_deadline() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE found double precision;
BEGIN
  DELETE FROM short_deadlines AS short WHERE short.instance_id = NEW.instance_id AND short.kind = NEW.kind RETURNING seconds INTO found;
  IF found IS NOT NULL THEN NEW.deadline_at := now() + make_interval(secs => found); END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER shorten_deadline BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION shorten_deadline();
"""


class Namespace:
    """Mounts of our own; what is started in it stays in it. Without root it is that of everybody."""

    def __init__(self):
        self._keeper = None
        if os.geteuid() == 0:
            mounts = f"mount -t tmpfs -o size={DISK_MB}m,mode=1777 faults /dev/shm && echo ready && exec sleep infinity"
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts]
            self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
            assert self._keeper.stdout.readline() == b"ready\n"

    @property
    def is_own(self):
        return self._keeper is not None

    def command(self, words):
        """A command that runs in it."""
        return ["nsenter", "--mount", f"--target={self._keeper.pid}", "--", *words] if self.is_own else words

    @property
    def shared_memory(self):
        """Its /dev/shm."""
        return Path(f"/proc/{self._keeper.pid}/root/dev/shm" if self.is_own else "/dev/shm")

    def holds(self, pid):
        """Whether a process is in it."""
        with contextlib.suppress(OSError):
            return self.is_own and os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink(f"/proc/{self._keeper.pid}/ns/mnt")
        return False

    def end(self):
        if self.is_own:
            self._keeper.kill()
            self._keeper.wait()
            self._keeper.stdout.close()


class Part:
    """A process that is to run all the time."""

    def __init__(self, name, command, environment, log):
        self.name, self._command, self._environment, self.log = name, command, environment, log
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self):
        return self.process.pid

    def kill_group(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def last_words(self):
        return self.log.read_text(errors="replace")[-3000:]


class Site:
    """All of it. `strange` is what ended by itself."""

    def __init__(self, base):
        self.base, self.state = base, StateDirectory(base / "s")
        self.tag = os.urandom(4).hex()  # in the ids of its instances: their system users have names that are made of them
        self.strange, self.restarts = [], 0
        self._closing, self._stop, self._keeper = contextlib.ExitStack(), threading.Event(), threading.Thread(target=self._keep)
        self.tmp, self.holds, self.orders = (self._made(name) for name in ("tmp", "holds", "orders"))
        self.namespace = Namespace()
        self._closing.callback(self.namespace.end)
        self._environment = {**os.environ, "HOME": str(self._made("home")), "TMPDIR": str(self.tmp), "NO_COLOR": "1"}
        self._environment.pop("DATABASE_URL", None)
        self._environment.pop("XDG_RUNTIME_DIR", None)
        self.journal = Journal(base / "journal")
        self.ports = free_ports(60)
        self.full_until = 0.0  # the last time that runs had no room, which meets all of them
        self.database_lock = threading.Lock()  # of those who stop or start it
        self.one_at_a_time = threading.Lock()  # faults that others cannot bear beside them

    def _made(self, name):
        (self.base / name).mkdir()
        return self.base / name

    # Start and end

    def start(self):
        """All of it, until it answers."""
        self.redis = self._closing.enter_context(redis_server.running(redis_server.program_of("package") or redis_server.bundled_redis()))
        self.postgresql = self._closing.enter_context(postgresql_server.running())
        self._configure()
        self.database = self.state.embedded()
        self._closing.callback(self.database.stop)
        migrate(self.database.start())
        self.sql(DEADLINES)
        self._closing.callback(self._end_supervisor)
        subprocess.run(self._command("-c", PREPARE, str(self.state.host)), env=self._environment, check=True)
        worker = str(Path(__file__).with_name("worker.py"))
        words = [worker, str(self.state.root), str(self.base / "journal"), str(self.holds)]
        self.web = self._part("web", "-m", "apb_cli.main", "serve", "--state-dir", str(self.state.root))
        self.workers = [self._part(f"worker-{number}", *words) for number in range(WORKERS)]
        for part in self.parts:
            part.start()
        self._keeper.start()
        wait(self.is_ready, 120, "the start of the broker")

    def _configure(self):
        self.state.create()
        configuration.first_configuration(self.state, f"127.0.0.1:{ports.free()}", self.ports)
        services = stubborn.make(self._made("services"), self.orders)
        document = yaml.safe_load(self.state.config_file.read_text())
        document["services_path"] = [str(services)]
        document["roles"] += [{"name": "apb.catalog.postgresql"}, {"name": "stubborn"}]
        document["targets"]["cache"] = own_services.shared_target(self.state.root, "cache", self.redis, redis_server)
        document["targets"]["pg"] = own_services.shared_target(self.state.root, "pg", self.postgresql, postgresql_server)
        document["offers"] += [
            {"plan": "redis/redis-tenant", "mode": "shared", "targets": ["cache"]},
            {"plan": "postgresql/postgresql-tenant", "mode": "shared", "targets": ["pg"]},
            {"plan": "stubborn/stubborn-large", "mode": "host", "targets": ["local"]},
        ]
        self.state.config_file.write_text(yaml.safe_dump({**document, "settings": SETTINGS}))

    def _command(self, *words):
        return self.namespace.command([sys.executable, *words])

    def _part(self, name, *words):
        environment = {**self._environment, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
        return Part(name, self._command(*words), environment, self.state.logs / f"{name}.log")

    @property
    def parts(self):
        return [self.web, *self.workers]

    def is_ready(self):
        """Whether it answers."""
        import httpx

        with contextlib.suppress(OSError, httpx.HTTPError):
            return httpx.get(f"{configuration.local_url(self.state)}/readyz", trust_env=False).status_code == httpx.codes.OK
        return False

    def _keep(self):
        while not self._stop.wait(0.1):
            for part in self.parts:
                if part.process.poll() is not None:
                    if part.process.returncode not in (-signal.SIGKILL, 0):
                        self.strange.append(f"{part.name} ended with {part.process.returncode}: {part.last_words()}")
                    part.kill_group()  # what it left behind holds its port
                    self.restarts += 1
                    part.start()
            if self.database_lock.acquire(blocking=False):
                try:
                    if self.database.pid() is None:
                        self.database.start()
                except MachineError as error:
                    self.strange.append(f"PostgreSQL does not start: {error}")
                finally:
                    self.database_lock.release()

    def end(self):
        """Nothing of it stays."""
        self._stop.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for part in getattr(self, "workers", []) and self.parts:
            part.process.send_signal(signal.SIGCONT)
            part.process.terminate()
        for part in getattr(self, "workers", []) and self.parts:
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(60)
            part.kill_group()
            part.process.wait()
        self._closing.close()
        for user in self.users():
            subprocess.run(["userdel", user], check=False)

    def users(self):
        """The system users of its instances."""
        slugs = [path.name for path in (self.state.host / "fence").glob("*")]
        return sorted(user.pw_name for user in pwd.getpwall() if user.pw_name.removeprefix("apb-") in slugs)

    def _end_supervisor(self):
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            supervisord = psutil.Process(int((self.state.host / "supervisor/supervisord.pid").read_text()))
            servers = supervisord.children(recursive=True)
            supervisord.terminate()
            _gone, alive = psutil.wait_procs([supervisord, *servers], timeout=20)
            for process in alive:
                process.kill()

    # The database, from outside

    def sql(self, statement, *values):
        """A statement on the broker's database, as soon as that answers."""
        end = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(self.database.url.replace("+psycopg", ""), autocommit=True, connect_timeout=5) as connection:
                    done = connection.execute(statement, values or None)
                    return done.fetchall() if done.description else []
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def database_processes(self):
        """All of the broker's PostgreSQL, its first process first."""
        pid = self.database.pid()
        if pid is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return []


@contextlib.contextmanager
def site():
    """A site in a directory of its own, both gone afterwards."""
    base = Path(tempfile.mkdtemp(prefix="apb-", dir="/var/tmp"))
    base.chmod(0o711)
    made = None
    try:
        made = Site(base)
        made.start()
        yield made
    finally:
        if made:
            made.end()
        shutil.rmtree(base, ignore_errors=True)
