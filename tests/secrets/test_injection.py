"""Whatever a tenant or platform writes arrives as it was written or is refused with a 400: through every field that takes a text,
on real servers.

What modules, templates and parameters make of such texts one by one is said in their own tests.
"""

import base64
import json
import re
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis

from tests.e2e.machine import Machine, login, wait
from tests.secrets import payloads, site

HEADERS = {"X-Broker-API-Version": "2.17"}
ASYNC = {"accepts_incomplete": "true"}
SLUG = re.compile(r"(hello|redis)-[0-9a-f]{12}")


class Attack:
    """One payload in all fields of the requests about one instance of a service."""

    def __init__(self, platform: httpx.Client, payload: payloads.Payload, service: dict[str, Any], parameters: dict[str, Any]) -> None:
        self._platform, self._text, self._parameters = platform, payload.text, parameters
        self.payload, self.plan = payload, service["plans"][0]["name"]
        self.id, self.binding_id = f"{payload.text}{self.plan}", f"b{payload.text}{self.plan}"
        self._path = f"/v2/service_instances/{quote(self.id, safe='')}"
        self._ids = {"service_id": service["id"], "plan_id": service["plans"][0]["id"]}
        self.credentials: dict[str, Any] = {}

    def provision(self) -> None:
        """Its context, organization, space and name, and who is said to ask."""
        guids = {"organization_guid": self._text, "space_guid": self._text}
        context = {"platform": "p", **guids, "instance_name": self._text, self._text: {self._text: [self._text]}}
        body = {**self._ids, **guids, "context": context, "parameters": self._parameters}
        if self.plan == "hello-large" and one_line(self._text) != self._text:
            refused = self._platform.put(self._path, json={**body, "parameters": {"greeting": self._text}}, headers=HEADERS, params=ASYNC)
            assert refused.status_code == httpx.codes.BAD_REQUEST
            assert "parameter 'greeting'" in refused.text
            assert "holds a control character" in refused.text
        self._send("PUT", self._path, body)

    def bind(self) -> None:
        """Its app and context."""
        path = f"{self._path}/service_bindings/{quote(self.binding_id, safe='')}"
        body = {"bind_resource": {"app_guid": self._text}, "context": {"platform": "p", "binding_name": self._text}}
        self._send("PUT", path, {**self._ids, **body, "parameters": {} if self.plan == "hello-large" else {"access": "read"}})
        self.credentials = self._platform.get(path, headers=HEADERS).json()["credentials"]

    def deprovision(self) -> None:
        """By the same names."""
        self._send("DELETE", self._path, None)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> None:
        params = {**ASYNC, **(self._ids if body is None else {})}
        answer = self._platform.request(method, path, params=params, json=body, headers=self._headers())
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        last = f"{path}/last_operation"
        ended = wait(lambda: self._ended(last, answer.json()["operation"]), 240, f"{method} of {path}")
        assert ended.get("state", "succeeded") == "succeeded", ended

    def _ended(self, path: str, operation: str) -> dict[str, Any] | None:
        answer = self._platform.get(path, params={"operation": operation}, headers=HEADERS)
        found: dict[str, Any] = answer.json()
        return None if found.get("state") == "in progress" else found

    def _headers(self) -> dict[str, str]:
        """Of a header only what one may hold at all."""
        identity = {"username": self._text, "user_id": self._text, self._text: [self._text]}
        shown = printable(self._text)
        encoded = base64.b64encode(json.dumps(identity).encode()).decode()
        named = {"X-Broker-API-Originating-Identity": f"p {encoded}", "X-Broker-API-Request-Identity": shown, "User-Agent": shown}
        return {**HEADERS, **named}


@pytest.fixture(scope="module")
def running() -> Iterator[site.Site]:
    """A deployment of this file's own."""
    with site.running() as made:
        yield made


@pytest.fixture(scope="module")
def platform(running: site.Site) -> Iterator[httpx.Client]:
    """Who may ask the broker for anything."""
    admin = json.loads((running.machine.state / "admin.json").read_text())
    limits = httpx.Limits(max_connections=20)
    login = (admin["username"], admin["password"])
    with httpx.Client(base_url=admin["url"], auth=login, timeout=60, trust_env=False, limits=limits) as client:
        yield client


@pytest.fixture(scope="module")
def services(platform: httpx.Client) -> dict[str, dict[str, Any]]:
    """What is offered, by plan."""
    found = platform.get("/v2/catalog", headers=HEADERS).json()["services"]
    return {plan["name"]: {**service, "plans": [plan]} for service in found for plan in service["plans"]}


def accounts(running: site.Site) -> set[str]:
    """Of both servers of the operator, with their rights."""
    roles = running.postgresql.sql("SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles")
    databases = running.postgresql.sql("SELECT datname FROM pg_database")
    with running.redis.admin() as client:
        rules = client.acl_list()
    return {str(row) for row in [*roles, *databases]} | {re.sub(r"#\w+", "", rule) for rule in rules}


def marks(folder: Path, machine: Machine) -> list[str]:
    """Files that only somebody who carried a payload out can have made."""
    places = (folder, Path("/"), Path("/tmp"), Path("/etc"), Path.home(), machine.state, machine.state / "host" / "instances")
    return [str(path) for place in places for path in place.iterdir() if payloads.MARK in path.name or payloads.ACCOUNT in path.name]


def test_texts_of_tenants_are_data_everywhere(
    running: site.Site, platform: httpx.Client, services: dict[str, dict[str, Any]], short_directory: Path
) -> None:
    """16 kinds of text in ids, names, guids, contexts, identities, headers and parameters, each where its reader would be.

    Nothing is made by them, neither files nor accounts nor rights, nor programs of the supervisor, nor lines of a log.
    """
    before = accounts(running)
    attacks = [
        Attack(platform, payload, services[plan], parameters_of(plan, payload.text))
        for payload in payloads.all_of(short_directory)
        for plan in ("hello-large", *payload.plans)
    ]
    with ThreadPoolExecutor(8) as many:
        list(many.map(Attack.provision, attacks))
        list(many.map(Attack.bind, attacks))
        made = accounts(running) - before
        for attack in attacks:
            _check_arrived(running, attack)
        _check_rights(made)
        _check_host(running.machine)
        _check_outputs(running.machine, len(attacks))
        list(many.map(Attack.deprovision, attacks))
    assert accounts(running) == before
    assert marks(short_directory, running.machine) == []


def parameters_of(plan: str, text: str) -> dict[str, Any]:
    """The text in each parameter that takes any."""
    if plan == "hello-large":
        return {"greeting": one_line(text)}
    return {"memory": 0.1, "password": printable(text)} if plan == "redis-standard" else {}


def one_line(text: str) -> str:
    """What a parameter that is no text of several lines may hold of it."""
    return "".join(character for character in text if unicodedata.category(character) != "Cc")


def printable(text: str) -> str:
    """As much of it as a password or a header may hold."""
    return re.sub(r"[^ -~]", "", text).strip()[:128]


def test_names_on_the_command_line_are_data(running: site.Site, short_directory: Path) -> None:
    """As arguments of our own client, and as names that are looked up."""
    name = next(payload.text for payload in payloads.all_of(short_directory) if payload.reader == "shells")
    machine = running.machine
    made = machine.apb("provision", "hello", "hello-large", name, "-p", f"greeting={one_line(name)}")
    assert made["name"] == name
    bound = machine.apb("bind", name, name)["credentials"]
    assert Path(bound["path"], "greeting").read_text() == f"{one_line(name)}!"
    machine.apb("deprovision", name, "--yes")
    assert marks(short_directory, machine) == []


def _check_arrived(running: site.Site, attack: Attack) -> None:
    """As it was written, where it was to arrive; and the account of the binding is what it is for others, too."""
    given, name = attack.credentials, attack.payload.reader
    if attack.plan == "hello-large":
        assert Path(given["path"], "greeting").read_bytes().decode() == f"{one_line(attack.payload.text)}!", name
    elif attack.plan == "postgresql-tenant":
        with running.postgresql.connect(given["username"], given["password"], given["database"]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (given["username"],), name
    else:
        with login(given) as client:
            assert client.get(f"{given.get('key_prefix', '')}x") is None, name
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.acl_list()
        if attack.plan == "redis-standard":
            password = printable(attack.payload.text)
            with redis.Redis(port=given["port"], password=password) as client:
                assert client.ping(), name
            with redis.Redis(port=given["port"], password="another") as client, pytest.raises(redis.exceptions.AuthenticationError):
                client.ping()


def _check_rights(made: set[str]) -> None:
    """What there is more on the servers: accounts of bindings and roles of databases, none of which may do anything to others'."""
    assert len(made) >= 4 + 4 * 4
    assert not [line for line in made if payloads.ACCOUNT in line or "~*" in line or "+@all" in line or "True" in line]
    shapes = r"user b\w+ on sanitize-payload|user b\w+ on|\('b\w+', False|\('postgresql_[0-9a-f]{12}(_read)?'[,)]"
    assert [line for line in made if not re.match(shapes, line)] == []


def _check_host(machine: Machine) -> None:
    """Directories with names of ours, and files of the supervisor with one program each."""
    assert [path.name for path in machine.instances.iterdir() if not SLUG.fullmatch(path.name)] == []
    for file in (machine.state / "host" / "supervisor" / "conf.d").iterdir():
        assert re.findall(r"^\[.*\]", file.read_text(), re.MULTILINE) == [f"[program:{file.stem}]"]


def _check_outputs(machine: Machine, instances: int) -> None:
    """One line for each thing, and nothing that steers a terminal: of both logs, and of the client's tables."""
    for name in ("serve.log", "worker.log"):
        lines = (machine.state / "logs" / name).read_bytes().splitlines()
        assert {json.loads(line)["event"] for line in lines} <= EVENTS
        assert not any(re.search(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]", line) for line in lines)
    for words, rows in ((["instances"], instances), (["operations", "--limit", "1000"], 2 * instances)):
        done = machine.call(*words)
        assert done.returncode == 0, done.stderr
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", done.stdout)
        assert len(done.stdout.splitlines()) == rows + 1


EVENTS = {
    *("request", "refused", "worker started", "operation claimed", "progress", "operation run", "health changed"),
    "this run is a cold one, and so are others for the same reason",
}
