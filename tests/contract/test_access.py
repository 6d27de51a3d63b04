"""Who reaches what: role x route x owner. Who is kept out learns nothing and changes nothing.

OSB 2.17, "Platform to Service Broker Authentication": a failure is 401. That instances of others do not exist is ours.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import yaml
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from apb_broker import application
from apb_broker.catalog import config as configuration
from apb_broker.catalog import credentials
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage.tables import Table
from tests import scenarios

PASSWORD = "secret of the operator"
TOKEN = "token-of-the-bot-0123456789"
USERS = {
    "shop": ["platform"],
    "other": ["platform"],
    "cached": ["platform"],
    "neighbour": ["platform"],
    "elsewhere": ["platform"],
    "ops": ["operator"],
    "eve": ["viewer"],
}
SLICES = {
    "caches": {"services": ["redis"], "users": ["cached", "neighbour"]},
    "more": {"services": ["redis"], "users": ["elsewhere"]},
}
# The same routes, for the whole catalog and for a part of it: where they are, who owns the instance there, who is a stranger.
ENTRANCES = {"/v2": ("shop", "other"), "/brokers/caches/v2": ("cached", "neighbour")}
ACTORS = ("nobody", "wrong password", "owner", "stranger", "elsewhere", "ops", "eve")

INSTANCE = "/v2/service_instances/<id:instance_id>"
BINDING = f"{INSTANCE}/service_bindings/<id:binding_id>"


def osb(owner: int, stranger: int) -> dict[str, int]:
    """For platforms only."""
    return {"nobody": 401, "wrong password": 401, "owner": owner, "stranger": stranger, "elsewhere": 403, "ops": 403, "eve": 403}


def looking(status: int = 200) -> dict[str, int]:
    """For operators and viewers."""
    return {**osb(403, 403), "ops": status, "eve": status}


def doing(status: int) -> dict[str, int]:
    """For operators."""
    return {**osb(403, 403), "ops": status}


def everybody(status: int = 200) -> dict[str, int]:
    """Without a login."""
    return dict.fromkeys(ACTORS, status)


def anybody_known() -> dict[str, int]:
    """With any login that is good."""
    return {**everybody(), "nobody": 401, "wrong password": 401}


# What each route answers to each actor, of an instance `i1` with a binding `b1` that the owner has.
EXPECTED = {
    ("GET", "/v2/catalog"): osb(200, 200),
    ("PUT", INSTANCE): osb(200, 409),
    ("GET", INSTANCE): osb(200, 404),
    ("PATCH", INSTANCE): osb(202, 404),
    ("DELETE", INSTANCE): osb(202, 410),
    ("GET", f"{INSTANCE}/last_operation"): osb(200, 404),
    ("PUT", BINDING): osb(200, 404),
    ("GET", BINDING): osb(200, 404),
    ("DELETE", BINDING): osb(202, 410),
    ("GET", f"{BINDING}/last_operation"): osb(200, 404),
    ("GET", "/admin/v1/instances"): looking(),
    ("GET", "/admin/v1/instances/<id:instance_id>"): looking(),
    ("GET", "/admin/v1/operations"): looking(),
    ("GET", "/admin/v1/operations/<operation_id>"): looking(),
    ("GET", "/admin/v1/operations/<operation_id>/log"): looking(),
    ("POST", "/admin/v1/operations/<operation_id>/retry"): doing(422),
    ("POST", "/admin/v1/operations/<operation_id>/cancel"): doing(422),
    ("POST", "/admin/v1/instances/<id:instance_id>/protect"): doing(200),
    ("POST", "/admin/v1/instances/<id:instance_id>/unprotect"): doing(200),
    ("POST", "/admin/v1/instances/<id:instance_id>/restore"): doing(422),
    ("POST", "/admin/v1/instances/<id:instance_id>/purge"): doing(422),
    ("POST", "/admin/v1/instances/<id:instance_id>/forget"): doing(422),
    ("GET", "/admin/v1/audit"): looking(),
    ("GET", "/metrics"): looking(),
    ("GET", "/openapi.json"): anybody_known(),
    ("GET", "/livez"): everybody(),
    ("GET", "/readyz"): everybody(),
}
MATRIX = [
    pytest.param(
        method, rule, entrance, actor, id=f"{actor}-{method}-{rule.replace('/v2', entrance, 1) if rule.startswith('/v2') else rule}"
    )
    for method, rule in EXPECTED
    for entrance in (ENTRANCES if rule.startswith("/v2") else ["/v2"])
    for actor in ACTORS
]
OF_INSTANCES = [(method, rule) for method, rule in EXPECTED if rule.startswith(INSTANCE)]


class Site:
    """A broker with all these users, and instances of some of them."""

    def __init__(self, client: FlaskClient, broker: Broker) -> None:
        self.client, self.broker, self.ids = client, broker, scenarios.ids(broker)
        self.operation = ""

    def own(self, user: str) -> None:
        """An instance i1 with a binding b1, both ready, of this user's."""
        caller = Caller(user, user)
        self.operation = scenarios.provision(self.broker, "i1", caller=caller).operation_id or ""
        scenarios.run(self.broker)
        scenarios.bind(self.broker, caller=caller)
        scenarios.run(self.broker, scenarios.BOUND)

    def ask(self, method: str, path: str, user: str | None, password: str = PASSWORD, **kwargs: Any) -> Any:
        """Any request."""
        headers = {"X-Broker-API-Version": "2.17", **kwargs.pop("headers", {})}
        if user is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def request(self, method: str, rule: str, user: str | None, password: str = PASSWORD, *, entrance: str = "/v2", number: int = 1) -> Any:
        """The route's request, valid, about instance and binding of that number."""
        path = rule.replace("/v2", entrance, 1) if rule.startswith("/v2") else rule
        given = {"<id:instance_id>": f"i{number}", "<id:binding_id>": f"b{number}", "<operation_id>": self.operation}
        for placeholder, value in given.items():
            path = path.replace(placeholder, value)
        query = {"accepts_incomplete": "true", **(self.ids if method == "DELETE" else {})}
        bodies = {
            ("PUT", INSTANCE): {**self.ids, "organization_guid": "org", "space_guid": "space"},
            ("PATCH", INSTANCE): {"service_id": self.ids["service_id"], "parameters": {"memory": 0.5}},
            ("PUT", BINDING): self.ids,
        }
        return self.ask(method, path, user, password, query_string=query, json=bodies.get((method, rule)))

    def rows(self) -> dict[str, list[str]]:
        """Everything the database holds."""
        with self.broker.database.engine.connect() as connection:
            return {
                table.name: sorted(str(row) for row in connection.execute(sqlalchemy.select(table)))
                for table in Table.metadata.sorted_tables
            }


@pytest.fixture
def configured(make_broker: Callable[[str], Broker], tmp_path: Path) -> Callable[..., Site]:
    """A site whose apb.yml has these changes."""

    def make(**changes: Any) -> Site:
        content = {
            "apb": 1,
            "users": [{"name": name, "password_file": "admin.password", "roles": roles} for name, roles in USERS.items()],
            "brokers": SLICES,
            "roles": [{"name": "apb.catalog.redis"}],
            "targets": {"local": {"mode": "host", "hosts": [{"name": "localhost", "address": "127.0.0.1"}], "ports": "31000-31004"}},
            "offers": [{"plan": "redis/redis-standard", "mode": "host", "targets": ["local"]}],
            **changes,
        }
        broker = make_broker(yaml.safe_dump(content))
        app = application.create(broker, configuration.load(tmp_path / "apb.yml"))
        return Site(app.test_client(), broker)

    return make


@pytest.fixture
def site(configured: Callable[..., Site]) -> Site:
    """The site with nothing special about it."""
    return configured()


def login_of(actor: str, entrance: str) -> tuple[str | None, str]:
    """User and password of an actor at an entrance."""
    owner, stranger = ENTRANCES[entrance]
    user = {"nobody": None, "wrong password": owner, "owner": owner, "stranger": stranger}.get(actor, actor)
    return user, "wrong" if actor == "wrong password" else PASSWORD


def test_every_route_has_its_row(site: Site) -> None:
    """A route that is added has to say here who may call it."""
    rules = site.client.application.url_map.iter_rules()
    assert {(method, rule.rule) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}} == set(EXPECTED)


@pytest.mark.parametrize(("method", "rule", "entrance", "actor"), MATRIX)
def test_route_answers_each_actor(site: Site, method: str, rule: str, entrance: str, actor: str) -> None:
    """The status; whoever is refused changes nothing, and is told of nothing that is the owner's."""
    owner, _stranger = ENTRANCES[entrance]
    site.own(owner)
    before = site.rows()
    answer = site.request(method, rule, *login_of(actor, entrance), entrance=entrance)
    assert answer.status_code == EXPECTED[method, rule][actor], answer.text
    if answer.status_code >= 400:
        assert site.rows() == before
        assert set(answer.json) <= {"description", "error"}
        assert "31000" not in answer.text and (owner not in answer.text or actor == "owner")
    if answer.status_code == 401:
        assert [value.split()[0] for value in answer.headers.getlist("WWW-Authenticate")] == ["Basic", "Bearer"]
    if answer.status_code == 403:
        lacks = "platform" if rule.startswith("/v2") else "operator"
        assert f"lacks the role '{lacks}'" in answer.json["description"] or actor == "elsewhere"


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize(("method", "rule"), [route for route in OF_INSTANCES if route != ("PUT", INSTANCE)])
def test_instance_of_others_is_as_if_it_were_not(site: Site, method: str, rule: str, entrance: str) -> None:
    """The very answer that an id gets which nobody has used."""
    owner, stranger = ENTRANCES[entrance]
    site.own(owner)
    theirs = site.request(method, rule, stranger, entrance=entrance)
    nobodys = site.request(method, rule, stranger, entrance=entrance, number=9)
    assert (theirs.status_code, theirs.text) == (nobodys.status_code, nobodys.text.replace("i9", "i1").replace("b9", "b1"))
    assert dict(theirs.headers) == dict(nobodys.headers)


@pytest.mark.parametrize("changes", [{}, {"parameters": {"memory": 2}}, {"space_guid": "elsewhere"}], ids=["same", "parameters", "space"])
def test_id_of_others_is_taken_whatever_is_asked_for(site: Site, changes: dict[str, Any]) -> None:
    """Provisioning: 409, in the same words whether the attributes are the other's or not."""
    site.own("shop")
    body = {**site.ids, "organization_guid": "org", "space_guid": "space", **changes}
    answer = site.ask("PUT", "/v2/service_instances/i1?accepts_incomplete=true", "other", json=body)
    assert (answer.status_code, answer.json) == (409, {"description": "instance i1 exists already: choose another id"})


def test_owner_is_the_user_and_not_the_entrance(site: Site) -> None:
    """Both users of one slice have their own; an id is one for the whole broker."""
    site.own("cached")
    entrance = "/brokers/caches/v2"
    assert site.request("GET", INSTANCE, "cached", entrance=entrance).status_code == 200
    assert site.request("GET", INSTANCE, "neighbour", entrance=entrance).status_code == 404
    assert site.request("PUT", INSTANCE, "elsewhere", entrance="/brokers/more/v2").status_code == 409


REFUSED_FIRST = [
    ("GET", "/v2/catalog", {"headers": {"X-Broker-API-Version": "1.0"}}),
    ("GET", "/v2/service_instances/%FF", {}),
    ("GET", "/nothing", {}),
    ("DELETE", "/v2/catalog", {}),
    ("OPTIONS", "/v2/catalog", {}),
    ("PUT", "/v2/service_instances/i1", {"data": b"{", "content_type": "application/json"}),
    ("PUT", "/v2/service_instances/i1", {"data": b"x" * (application.MAX_BODY_BYTES + 1), "content_type": "application/json"}),
    ("PUT", "/v2/service_instances/i1", {"data": b"x", "content_type": "text/plain"}),
    ("GET", "/brokers/caches/v2/catalog", {}),
    ("GET", "/brokers/none/v2/catalog", {}),
    ("GET", "/brokers/caches/livez", {}),
    ("GET", "/livez/", {}),
    ("GET", "/v2/../livez", {}),
    ("GET", "/livez%2F", {}),
]


@pytest.mark.parametrize(("method", "path", "given"), REFUSED_FIRST, ids=[f"{method} {path}" for method, path, _ in REFUSED_FIRST])
def test_authentication_comes_before_everything_else(site: Site, method: str, path: str, given: dict[str, Any]) -> None:
    """Platform to Service Broker Authentication: 401, whatever else is wrong with the request."""
    before = site.rows()
    answer = site.ask(method, path, None, environ_overrides={"RAW_URI": path}, **given)
    assert answer.status_code == 401
    assert site.rows() == before


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic %%%",
        "Basic YWRtaW4=",
        "Basic 4pyTOg",
        "Bearer",
        "Bearer a=b",
        "Digest x",
        "Negotiate abc",
        "x",
        "Basic " + "QUFB" * 2000,
    ],
)
def test_unreadable_authorization_is_401(site: Site, authorization: str) -> None:
    """No scheme of ours, no base64, no colon, no text."""
    assert site.ask("GET", "/v2/catalog", None, headers={"Authorization": authorization}).status_code == 401


def test_slice_has_its_services_only(configured: Callable[..., Site]) -> None:
    """In its catalog, and to be had; a PUT of another service is refused as one that does not exist."""
    shared = {"mode": "shared", "address": "192.0.2.7", "port": 6379, "username": "apb", "password_file": "server.password"}
    host = {"mode": "host", "hosts": [{"name": "localhost", "address": "127.0.0.1"}], "ports": "31000-31004"}
    site = configured(
        roles=[{"name": "apb.catalog.redis"}, {"name": "apb.catalog.postgresql"}],
        targets={"local": host, "databases": shared},
        offers=[
            {"plan": "redis/redis-standard", "mode": "host", "targets": ["local"]},
            {"plan": "postgresql/postgresql-tenant", "mode": "shared", "targets": ["databases"]},
        ],
        brokers={"caches": SLICES["caches"], "more": {"services": ["postgresql"], "users": ["elsewhere"]}},
    )

    def offered(user: str, entrance: str) -> list[str]:
        return [service["name"] for service in site.ask("GET", f"{entrance}/catalog", user).json["services"]]

    assert offered("shop", "/v2") == ["redis", "postgresql"]
    assert offered("cached", "/brokers/caches/v2") == ["redis"]
    assert offered("elsewhere", "/brokers/more/v2") == ["postgresql"]
    refused = site.request("PUT", INSTANCE, "elsewhere", entrance="/brokers/more/v2")
    assert (refused.status_code, "is not a service of this catalog" in refused.json["description"]) == (400, True)
    assert site.request("PUT", INSTANCE, "cached", entrance="/brokers/caches/v2").status_code == 202
    tags = [
        site.ask("GET", f"{entrance}/catalog", user).headers["ETag"]
        for user, entrance in (("shop", "/v2"), ("cached", "/brokers/caches/v2"))
    ]
    assert tags[0] != tags[1]


def test_instance_goes_on_when_its_service_has_left_the_slice(configured: Callable[..., Site]) -> None:
    """What a user has is updated, bound and removed by any entrance of that user's; a slice limits what is to be had."""
    first = configured()
    first.own("cached")
    shared = {"mode": "shared", "address": "192.0.2.7", "port": 6379, "username": "apb", "password_file": "server.password"}
    site = configured(
        roles=[{"name": "apb.catalog.redis"}, {"name": "apb.catalog.postgresql"}],
        targets={
            "local": {"mode": "host", "hosts": [{"name": "localhost", "address": "127.0.0.1"}], "ports": "31000-31004"},
            "databases": shared,
        },
        offers=[
            {"plan": "redis/redis-standard", "mode": "host", "targets": ["local"], "binding_expiry": {"after_seconds": 60}},
            {"plan": "postgresql/postgresql-tenant", "mode": "shared", "targets": ["databases"]},
        ],
        brokers={"more": {"services": ["postgresql"], "users": ["cached"]}},
    )
    site.ids = first.ids
    entrance = "/brokers/more/v2"
    assert site.request("GET", INSTANCE, "cached", entrance=entrance).status_code == 200
    assert site.request("PATCH", INSTANCE, "cached", entrance=entrance).status_code == 202
    scenarios.run(site.broker)
    bound = site.ask("PUT", f"{entrance}/service_instances/i1/service_bindings/b2?accepts_incomplete=true", "cached", json=site.ids)
    assert bound.status_code == 202
    scenarios.run(site.broker, scenarios.BOUND)
    fetched = site.ask("GET", f"{entrance}/service_instances/i1/service_bindings/b2", "cached")
    assert "expires_at" in fetched.json["metadata"]  # the operator's limits hold in slices, too
    assert site.request("DELETE", INSTANCE, "cached", entrance=entrance).status_code == 202


@pytest.mark.parametrize(
    "path", ["/brokers/none/v2/catalog", "/brokers//v2/catalog", "/brokers/caches%2Fv2/catalog", "/brokers/%FF/v2/catalog"]
)
def test_unknown_slice_is_404(site: Site, path: str) -> None:
    """After authentication, as JSON; one whose name is no text is 400."""
    answer = site.ask("GET", path, "cached", environ_overrides={"RAW_URI": path})
    assert answer.status_code == (400 if "%FF" in path else 404)
    assert answer.json["description"]


@pytest.mark.parametrize("path", ["/admin/v1/instances", "/livez", "/brokers/caches/v2/catalog", "/nothing"])
def test_slice_is_a_broker_and_nothing_else(site: Site, path: str) -> None:
    """Operators' routes are no part of it."""
    for user in ("cached", "ops"):
        assert site.ask("GET", f"/brokers/caches{path}", user).status_code == 404


def test_ids_of_any_character_reach_a_slice(site: Site) -> None:
    """Percent-encoded slashes, as at /v2."""
    path = "/brokers/caches/v2/service_instances/a%2Fb%25c/last_operation"
    caller = Caller("cached", "cached")
    scenarios.provision(site.broker, "a/b%c", caller=caller)
    assert site.ask("GET", path, "cached", environ_overrides={"RAW_URI": path}).status_code == 200


def test_token_is_a_login(configured: Callable[..., Site], tmp_path: Path) -> None:
    """Bearer, with the token or its digest in the file; a token is no password, and a wrong one is 401."""
    for name, text in (("bot.token", TOKEN), ("digest.token", "sha256:" + credentials.token_digest(TOKEN + "x"))):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text + "\n")
    users = [{"name": "bot", "token_file": "bot.token", "roles": ["platform"]}]
    users += [{"name": "eve", "token_file": "digest.token", "roles": ["viewer"]}]
    site = configured(users=users, brokers={})

    def status(path: str, token: str, scheme: str = "Bearer") -> int:
        return int(site.ask("GET", path, None, headers={"Authorization": f"{scheme} {token}"}).status_code)

    assert (status("/v2/catalog", TOKEN), status("/v2/catalog", TOKEN, "bearer"), status("/admin/v1/instances", TOKEN)) == (200, 200, 403)
    assert (status("/admin/v1/instances", TOKEN + "x"), status("/v2/catalog", TOKEN + "x")) == (200, 403)
    assert (status("/v2/catalog", TOKEN[:-1]), status("/v2/catalog", credentials.token_digest(TOKEN))) == (401, 401)
    assert site.ask("GET", "/v2/catalog", "bot", TOKEN).status_code == 401


def test_password_may_be_known_by_its_hash(configured: Callable[..., Site], tmp_path: Path) -> None:
    """What `apb hash-password` printed; the hash itself lets nobody in."""
    made = credentials.hash_password("hush-hush ü:")
    (tmp_path / "ann.password").touch(0o600)
    (tmp_path / "ann.password").write_text(made + "\n")
    site = configured(users=[{"name": "ann", "password_file": "ann.password", "roles": ["platform"]}], brokers={})
    assert [site.ask("GET", "/v2/catalog", "ann", text).status_code for text in ("hush-hush ü:", made, "", "hush-hush ü:")] == [
        200,
        401,
        401,
        200,
    ]


def test_too_many_failed_logins_are_429(configured: Callable[..., Site]) -> None:
    """From one address, with Retry-After; a platform that was let in from there goes on, and other addresses are not concerned."""
    site = configured(settings={"failed_logins_per_minute": 2})

    def status(user: str, password: str = PASSWORD, address: str = "192.0.2.1") -> Any:
        return site.ask("GET", "/v2/catalog", user, password, environ_overrides={"REMOTE_ADDR": address})

    assert status("shop").status_code == 200
    with capture_logs() as logged:
        assert [status("shop", "wrong-hush").status_code, status("nobody", "wrong-hush").status_code] == [401, 401]
        refused = status("other")
    assert (refused.status_code, 0 < int(refused.headers["Retry-After"]) <= 60) == (429, True)
    assert refused.json == {"description": "too many failed logins from this address: try again later"}
    assert status("shop").status_code == 200
    assert status("other", address="192.0.2.2").status_code == 200
    told = [(line["address"], line.get("user")) for line in logged if line["event"] != "request"]
    assert told == [("192.0.2.1", "shop"), ("192.0.2.1", "nobody"), ("192.0.2.1", None)]
    assert "hush" not in str(logged) and PASSWORD not in str(logged)


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_address_is_that_which_a_declared_proxy_tells(configured: Callable[..., Site], behind_proxy: bool) -> None:
    """The last hop of X-Forwarded-For: earlier ones, and all of them without a proxy, are what the client says."""
    site = configured(settings={"failed_logins_per_minute": 1}, behind_proxy=behind_proxy)

    def status(password: str, forwarded: str) -> int:
        return int(site.ask("GET", "/v2/catalog", "shop", password, headers={"X-Forwarded-For": forwarded}).status_code)

    assert status("wrong", "203.0.113.1, 192.0.2.1") == 401
    assert status(PASSWORD, "203.0.113.9, 192.0.2.1") == 429
    assert status(PASSWORD, "203.0.113.1, 192.0.2.2") == (200 if behind_proxy else 429)


def test_catalog_is_the_same_bytes_for_every_user_of_an_entrance(site: Site) -> None:
    """Nothing of who asks is in it."""
    answers = [site.ask("GET", "/brokers/caches/v2/catalog", user) for user in ("cached", "neighbour")]
    assert answers[0].data == answers[1].data
    assert json.loads(answers[0].data)["services"]
