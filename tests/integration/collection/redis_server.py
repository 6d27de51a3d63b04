"""Redis servers of the tests' own, of both generations, and tenants of such a server as the broker would describe them.

Servers under a supervisor are conftest.py's.
"""

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import redis
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.apb.catalog.plugins.module_utils import redis_accounts, redis_acl_user, redis_connection

from tests import ports
from tests.integration.collection.conftest import ROOT, Instance, bundled_redis

ADMIN, ADMIN_PASSWORD = "apb_admin", "admin-{{ 1 + 1 }}"
PASSWORD = "p-password"


def program_of(generation):
    """Path of the server's program: of the distribution's package, or the newer one of the development tools. None: there is none."""
    program = shutil.which("redis-server") if generation == "package" else bundled_redis()
    return program if program and Path(program).exists() else None


def rules_of(mode, access, prefix="redis-3f9a0c12ab4e:"):
    """The role's own rules for an account, as its templates give them to the modules."""
    variables = DataLoader().load_from_file(str(ROOT / "roles" / "redis" / "vars" / "main.yml"), trusted_as_template=True)
    variables |= {"apb_mode": mode, "apb_instance": {"names": {"prefix": prefix}}}
    templar = Templar(DataLoader(), variables=variables)
    return {
        "rules": templar.template(trust_as_template("{{ _redis_rules." + access + " }}")),
        "rules_if_known": templar.template(trust_as_template("{{ _redis_rules_if_known }}")),
    }


class Server:
    """A Redis with an ACL file, stopped and started by the test."""

    def __init__(self, program, directory, *, acl=True, by_file=True, **settings):
        self.program, self.by_file, self.directory, self.port, self.process = program, by_file, directory, ports.free(), None
        hashed = hashlib.sha256(ADMIN_PASSWORD.encode()).hexdigest()
        accounts = [f"user {ADMIN} on #{hashed} ~* &* +@all", "user default off"]
        self.acl = directory / "users.acl"
        self.acl.write_text("\n".join(accounts) + "\n")
        options = {"port": self.port, "bind": "127.0.0.1", "dir": directory, "appendonly": "yes", "save": '""', **settings}
        lines = [f"{name} {value}" for name, value in options.items()] + ([f"aclfile {self.acl}"] if acl else accounts)
        self.configuration = directory / "redis.conf"
        self.configuration.write_text("\n".join(lines) + "\n")

    def start(self):
        given = self.configuration.read_bytes()
        command = [self.program, str(self.configuration)] if self.by_file else [self.program, "-"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.process.stdin.write(b"" if self.by_file else given)
        self.process.stdin.close()
        redis_connection.connect(self.params()).close()

    def stop(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def params(self, **given):
        login = {"login_user": ADMIN, "login_password": ADMIN_PASSWORD, "wait_seconds": 10}
        return {"host": "127.0.0.1", "port": self.port, **login, **given}

    def account(self, name, *, check_mode=False, **given):
        empty = {"password_hashes": None, "rules": [], "rules_if_known": []}
        options = {"name": name, "password": PASSWORD, **empty, "save": True, "state": "present", **given}
        return redis_acl_user.work(self.params(**options), check_mode)["changed"]

    def accounts(self, *accounts, check_mode=False):
        empty = {"password": PASSWORD, "password_hashes": None, "rules": [], "rules_if_known": []}
        return redis_accounts.work(self.params(accounts=[{**empty, **account} for account in accounts]), check_mode)

    @contextlib.contextmanager
    def client(self, name, password=PASSWORD, **options):
        with redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username=name,
            password=password,
            decode_responses=True,
            single_connection_client=True,
            **options,
        ) as client:
            yield client

    def admin(self, **options):
        return self.client(ADMIN, ADMIN_PASSWORD, **options)


@contextlib.contextmanager
def running(program, **options):
    """A server in a directory of its own, both gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="apb-redis-", dir="/tmp"))
    server = Server(program, directory, **options)
    try:
        server.start()
        yield server
    finally:
        if server.process:
            server.stop()
        shutil.rmtree(directory)


@dataclass
class Tenant(Instance):
    """One share of a server, as the broker would describe it to the playbooks."""

    server: Server = None

    @property
    def prefix(self):
        return f"{self.slug}:"

    def described(self, action, *, epoch=None, binding=None, placement="localhost"):
        described = super().described(action, epoch=epoch, binding=binding, placement=placement)
        described["apb_instance"]["names"]["prefix"] = self.prefix
        described["apb_instance"]["secrets"] = {}
        described["apb_instance"]["placement"].pop("directory")
        server = {"host": "127.0.0.1", "port": self.port, "username": ADMIN, "password": ADMIN_PASSWORD}
        return {**described, "apb_mode": "shared", "apb_plan": "redis-tenant", "apb_server": server}

    def admin(self):
        return self.client(ADMIN, ADMIN_PASSWORD)

    def accounts(self):
        """Names of the accounts on the server, except those that it had."""
        with self.admin() as client:
            return sorted(set(client.acl_users()) - {ADMIN, "default"})

    def keys(self, database=0):
        with self.server.admin(db=database) as client:
            return sorted(client.scan_iter(f"{self.prefix}*"))


def tenant_of(host, server):
    """A new tenant of the server."""
    return Tenant(host, f"redis-{uuid.uuid4().hex[:12]}", server.port, {}, server=server)
