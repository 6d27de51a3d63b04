"""What tenants, operators and accidents do with a broker, and all that can be read of it meanwhile and afterwards."""

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from apb_broker import assembly
from tests.e2e.machine import wait
from tests.secrets.looking import Gathered
from tests.secrets.sampler import Sampler
from tests.secrets.site import Site, private

# Characters that each way of writing a text writes in its own way.
TENANTS_PASSWORD = "pass-canary /+\"'\\{{ 7*7 }}%25&<e>-5d1f0c"
INIT_SECRET = "init-canary-8c02ab71f3"
ORDINARY_SECRET = "ordinary-canary-77b1d0e42c"
FAILED_SECRET = "failed-canary-1f6a9d3b55"
DECOY = "decoy-canary-0b9e4c6612"
PLANTED_FILES = (Path("/dev/shm/apb-run-0-decoy"), Path("/tmp/ansible-decoy"))
NO_LOGIN = "login-canary-94e1a2b3c4"


@dataclass
class Story:
    """One after the other on one site; `secrets` by name, `gathered` by place."""

    site: Site
    gathered: Gathered = field(default_factory=Gathered)
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        state = self.site.machine.state
        self.admin = json.loads((state / "admin.json").read_text())
        self.secrets |= {
            "the operator's password": self.admin["password"],
            "the password of the servers": (state / "pg.password").read_text().strip(),
            "the password of the database": self.site.database_password,
            "the key": (state / "keys").read_text().split()[1],
            "the tenant's password": TENANTS_PASSWORD,
            "a secret in SQL": INIT_SECRET,
            "a secret in SQL that fails": FAILED_SECRET,
            "a secret in an ordinary parameter": ORDINARY_SECRET,
            "a password that is none": NO_LOGIN,
            "decoy": DECOY,
        }

    # What people do

    def call(self, *words: str, given: dict[str, object] | None = None, code: int = 0) -> dict | list | None:
        """A command of the client, in both kinds of output; what it shows of instances and bindings may be read by anybody."""
        parameters = [] if given is None else ["--parameters-file", "-"]
        done = self.site.machine.call(*words, *parameters, "-o", "json", stdin=None if given is None else json.dumps(given))
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.gathered.add("command line", done.stderr)
        if words[0] not in ("bind", "rotate", "credentials"):
            self.gathered.add("command line", done.stdout)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def bind(self, instance: str, name: str, given: dict[str, object] | None = None) -> None:
        """A binding, whose password is a secret from now on."""
        bound = self.call("bind", instance, name, given=given)
        assert self.call("credentials", instance, name) == bound["credentials"]
        self.secrets[f"the password of {name}"] = bound["credentials"]["password"]

    def rotate(self, instance: str, old: str, new: str) -> None:
        """Its successor."""
        self.secrets[f"the password of {new}"] = self.call("rotate", instance, old, new)["credentials"]["password"]

    def tell(self) -> None:
        """Everything that is done to instances and bindings, and what goes wrong with them."""
        self._a_redis_of_ones_own()
        self._parts_of_servers()
        self._a_run_that_is_killed()
        self._runs_that_fail()
        self._requests_that_are_refused()

    def _a_redis_of_ones_own(self) -> None:
        self.call("provision", "redis", "redis-standard", "own", given={"memory": 0.1, "password": TENANTS_PASSWORD})
        self.bind("own", "own-app")
        self.call("update", "own", given={"memory": 0.2})
        self.rotate("own", "own-app", "own-next")
        self.call("unbind", "own", "own-app")
        self.secrets |= self._generated("own")

    def _generated(self, name: str) -> dict[str, str]:
        """Passwords of an instance that nobody is ever told."""
        instance_id = self.call("instances", name)["id"]
        assembled = assembly.assemble(self.site.machine.state)
        with assembled.broker.database.unit() as unit:
            row = unit.instance(instance_id)
            found = {f"{secret} of {name}": value for secret, value in row.secrets.items() if value != TENANTS_PASSWORD}
        assembled.broker.database.close()
        assert found
        return found

    def _parts_of_servers(self) -> None:
        self.call("provision", "redis", "redis-tenant", DECOY)
        self.bind(DECOY, "part-app")
        self.call("provision", "postgresql", "postgresql-tenant", "data", given={"connections": 5})
        init = f"CREATE TABLE kept (text text); INSERT INTO kept VALUES (md5('{INIT_SECRET}'));"
        self.bind("data", "data-app", given={"init": init})

    def _a_run_that_is_killed(self) -> None:
        """Its supervisor and ansible-playbook, by SIGKILL, while a task runs; the worker runs it again."""
        made = self.call("provision", "hello", "hello-large", "greeted", "--no-wait", given={"greeting": f"wait {ORDINARY_SECRET}"})
        operation = made["operation"]["id"]
        wait(lambda: "Take a while" in self.site.machine.call("logs", "greeted").stdout)
        worker = next(child for child in psutil.Process(self.site.machine.up.pid).children() if "worker" in child.cmdline())
        for process in worker.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "apb_broker.execution.supervisor" in process.cmdline():
                    process.send_signal(signal.SIGKILL)
        wait(lambda: self._state(operation) == "succeeded", 90, "the second run")
        self.bind("greeted", "greeted-app")
        self.call("update", "greeted", given={"greeting": f"again {ORDINARY_SECRET}"})

    def _runs_that_fail(self) -> None:
        """By what a tenant sent, by a role's own word, halted by a removal, and because a server does not answer."""
        self.call("bind", "data", "broken", given={"init": f"INSERT INTO nowhere VALUES ('{FAILED_SECRET}')"}, code=1)
        self.call("provision", "hello", "hello-large", "stumbling", given={"greeting": f"stumble {ORDINARY_SECRET}"}, code=1)
        with self.site.machine.next_run_held():
            given = {"memory": 0.1, "password": TENANTS_PASSWORD}
            hasty = self.call("provision", "redis", "redis-standard", "hasty", "--no-wait", given=given)
            self.call("deprovision", "hasty", "--yes", "--no-wait")
        wait(lambda: all(line["state"] in ("succeeded", "failed") for line in self.call("operations")))
        assert self._state(hasty["operation"]["id"]) == "failed"
        os.kill(self.site.redis.process.pid, signal.SIGSTOP)
        self.call("bind", DECOY, "never", code=1)
        os.kill(self.site.redis.process.pid, signal.SIGCONT)

    def _state(self, operation: str) -> str:
        return next(line["state"] for line in self.call("operations") if line["id"] == operation)

    def _requests_that_are_refused(self) -> None:
        """Passwords that are no passwords, for parameters that are none, in bodies that are none, and of logins that are none."""
        own = self.call("instances", "own")
        path = f"/v2/service_instances/{own['id']}"
        ids = {"service_id": own["service_id"], "plan_id": own["plan_id"]}
        headers = {"X-Broker-API-Version": "2.17"}
        wrong = [{"pasword": TENANTS_PASSWORD}, {"password": [TENANTS_PASSWORD]}, {"password": {"a": TENANTS_PASSWORD}}]
        wrong += [{"password": f"{TENANTS_PASSWORD}\u2603"}, {"password": TENANTS_PASSWORD * 9}, {"memory": DECOY}]
        made = {**ids, "organization_guid": "o", "space_guid": "s"}
        bodies = [json.dumps({**made, "parameters": given}) for given in wrong] + [f'{{"parameters": {json.dumps(TENANTS_PASSWORD)}']
        with self.client() as platform:
            for body in bodies:
                for method, place in (("PUT", "/v2/service_instances/new"), ("PATCH", path)):
                    answer = platform.request(method, place, params={"accepts_incomplete": "true"}, content=body, headers=headers)
                    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text
                    self.gathered.add("answers of the broker", answer.text, str(answer.headers))
        for user in ("admin", "nobody"):
            answer = httpx.get(f"{self.admin['url']}/v2/catalog", auth=(user, NO_LOGIN), headers=headers, trust_env=False)
            assert answer.status_code == httpx.codes.UNAUTHORIZED
            self.gathered.add("answers of the broker", answer.text)

    # What can be read

    def client(self) -> httpx.Client:
        """As the operator, who is a platform, too."""
        return httpx.Client(base_url=self.admin["url"], auth=(self.admin["username"], self.admin["password"]), timeout=60, trust_env=False)

    def read_interfaces(self) -> None:
        """What the broker shows to its users."""
        for words in (["instances"], ["operations"], ["audit"], ["instances", "own"], ["instances", "data", "-o", "yaml"], ["logs", "own"]):
            self.gathered.add("command line", self.site.machine.call(*words).stdout)
        with self.client() as operator:
            for place in ("instances", "operations?limit=1000", "audit?limit=1000"):
                self.gathered.add(f"admin/{place.split('?')[0]}", operator.get(f"/admin/v1/{place}").text)
            for line in operator.get("/admin/v1/operations?limit=1000").json()["operations"]:
                self.gathered.add("admin/log", operator.get(f"/admin/v1/operations/{line['id']}/log").text)
            self.gathered.add("metrics", operator.get("/metrics").text)
            headers = {"X-Broker-API-Version": "2.17"}
            for line in operator.get("/admin/v1/instances").json()["instances"]:
                path = f"/v2/service_instances/{line['id']}"
                self.gathered.add("answers of the broker", operator.get(path, headers=headers).text)
                self.gathered.add("answers of the broker", operator.get(f"{path}/last_operation", headers=headers).text)

    def read_database(self) -> None:
        """A whole dump, as it is made for backups, and what the server logged."""
        server = self.site.postgresql
        dump = subprocess.run([server.programs / "pg_dump", *self._login], env=self._passfile, capture_output=True, check=True).stdout
        assert b"COPY public.instances" in dump
        self.gathered.add("dump", dump)
        self.gathered.add("log of PostgreSQL", (server.directory / "log").read_bytes())

    @property
    def _login(self) -> list[str]:
        return ["--host=127.0.0.1", f"--port={self.site.postgresql.port}", "--username=apb_broker", "--dbname=apb_broker"]

    @property
    def _passfile(self) -> dict[str, str]:
        """The environment of PostgreSQL's own programs: where the password is, not the password."""
        file = self.site.machine.state.parent / "passfile"
        private(file, f"*:*:*:*:{self.site.database_password}\n")
        return {"PGPASSFILE": str(file), "LC_ALL": "C", "PATH": os.environ["PATH"]}

    def read_files(self) -> None:
        """All files of the broker and of this machine as a host, by their names below the state directory."""
        state = self.site.machine.state
        for path in state.rglob("*"):
            if path.is_file() and not path.is_symlink():
                self.gathered.add(_place(path.relative_to(state)), path.read_bytes())
        for path in (self.site.redis.directory).iterdir():
            self.gathered.add(f"the operator's Redis: {path.name}", path.read_bytes() if path.is_file() else b"")

    def plant(self) -> list[subprocess.Popen[bytes]]:
        """The decoy, where it would be found if anything did what it must not; the processes that hold it."""
        logs = self.site.machine.state / "logs"
        with (logs / "worker.log").open("a") as log:
            log.write(f'{{"event": "planted", "text": "{DECOY}"}}\n')
        for place in PLANTED_FILES:
            place.write_text(DECOY)
        self.site.postgresql.sql("SELECT %s::text", DECOY)
        command = ["python3", "-c", "import time; time.sleep(600)"]
        query = [self.site.postgresql.programs / "psql", *self._login]
        asking = subprocess.Popen(query, env=self._passfile, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        with asking.stdin as session:
            session.write(f"SELECT pg_sleep(600) /* {DECOY} */;\n".encode())
        return [subprocess.Popen([*command, DECOY]), subprocess.Popen(command, env={**os.environ, "DECOY": DECOY}), asking]


def _place(path: Path) -> str:
    """The file's name, with that of an instance without its number."""
    parts = [part.split("-")[0] if above == "instances" else part for above, part in zip(("", *path.parts), path.parts, strict=False)]
    return "/".join(parts)


def told(site: Site) -> tuple[Story, Sampler]:
    """The whole story, watched from its beginning to its end."""
    story = Story(site)
    with Sampler(story.gathered, site.postgresql) as sampler:
        planted = story.plant()
        try:
            story.tell()
        finally:
            for process in planted:
                process.kill()
                process.wait()
            for place in PLANTED_FILES:
                place.unlink()
    story.read_interfaces()
    story.read_database()
    story.read_files()
    return story, sampler
