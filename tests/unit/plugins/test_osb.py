"""The client of brokers: what it sends, and what it makes of answers, good and odd ones."""

import base64

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import osb

from tests import certificates, ports
from tests.unit.plugins import scripted_broker

PASSWORD = "canary-of-the-password"
INSTANCE = "/v2/service_instances/i"


@pytest.fixture
def script():
    with scripted_broker.running() as made:
        yield made


@pytest.fixture
def broker(script):
    made = osb.Broker(script.url + "/", "ann", PASSWORD)
    made.pauses = []
    made.sleep = made.pauses.append
    made.now = 0.0
    made.clock = lambda: made.now + sum(made.pauses)
    return made


def test_request_carries_version_and_login_past_proxies(script, broker, monkeypatch):
    """A proxy of the environment would swallow calls to this machine."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{ports.free()}")
    script.say("GET /v2/catalog", (200, {"services": [{"name": "a"}]}))
    assert broker.catalog() == [{"name": "a"}]
    headers = script.asked[0].headers
    assert headers["x-broker-api-version"] == "2.17"
    assert headers["authorization"] == "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    osb.Broker(script.url, token="a-token").catalog()
    assert script.asked[1].headers["authorization"] == "Bearer a-token"


def test_login_follows_no_redirect(script, broker):
    """Where it is sent is not for the answer of a server to say."""
    with scripted_broker.running() as other:
        script.say("GET /v2/catalog", (302, {}, {"Location": f"{other.url}/v2/catalog"}))
        with pytest.raises(osb.Refused, match=f"sends its callers to {other.url}/v2/catalog: give the address where it is now as url"):
            broker.catalog()
        assert other.asked == []


@pytest.mark.parametrize(
    ("answer", "told", "word"),
    [
        ((400, {"description": "parameter 'memory': 9 is above 4"}), "^parameter 'memory': 9 is above 4$", ""),
        ((422, {"error": "ConcurrencyError", "description": "later"}), "^later$", "ConcurrencyError"),
        ((401, {"description": "no"}), "does not accept this login: check username and password, or token", ""),
        ((500, b"<html>"), "answered 500 Internal Server Error", ""),
        ((418, {"error": "IsTeapot"}), "^IsTeapot$", "IsTeapot"),
    ],
)
def test_refusal_says_what_the_broker_says(script, broker, answer, told, word):
    """Or what there is to do; the login is in none of it."""
    script.say("GET /v2/catalog", answer)
    with pytest.raises(osb.Refused, match=told) as refused:
        broker.catalog()
    assert (refused.value.status, refused.value.word) == (answer[0], word)
    assert PASSWORD not in f"{refused.value!r} {broker!r}"


@pytest.mark.parametrize("content", [b"<html>", b"[]", b""])
def test_what_is_no_broker_is_told(script, broker, content):
    """A web server of somebody else answers 200 too."""
    script.say("GET /v2/catalog", (200, content))
    with pytest.raises(osb.OsbError, match="answers, but not as a broker does"):
        broker.catalog()


def test_lost_answer_is_asked_for_again(script, broker):
    """OSB counts the same request sent twice as one."""
    script.say(f"PUT {INSTANCE}", scripted_broker.LOST, scripted_broker.LOST, (202, {"operation": "o"}))
    assert broker.call("PUT", INSTANCE, {"accepts_incomplete": "true"}, {"a": 1}).body == {"operation": "o"}
    assert [each.body for each in script.asked] == [{"a": 1}] * 3
    assert script.asked[2].query == "accepts_incomplete=true"


def test_broker_that_is_not_there_is_told_with_its_address():
    """After some attempts: it may be restarting."""
    broker = osb.Broker(f"http://127.0.0.1:{ports.free()}", "ann", PASSWORD)
    broker.sleep = lambda _seconds: None
    with pytest.raises(osb.Unreachable, match=rf"{broker.url} gives no answer \(Connection refused\): does it run"):
        broker.catalog()


def test_polling_goes_on_as_the_broker_wants(script, broker):
    """Retry-After between questions, and errors that say nothing about the operation end nothing (OSB 2.17, Polling Interval)."""
    script.say(
        f"GET {INSTANCE}/last_operation",
        (200, {"state": "in progress"}, {"Retry-After": "7"}),
        (200, {"state": "in progress"}, {"Retry-After": "99999"}),
        (503, {}),
        (410, {}),
        (200, {"state": "in progress"}, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
        (200, {"state": "succeeded"}),
    )
    broker.settle(INSTANCE, "o 1", "provision of i", deadline=1000, query={"plan_id": "p", "service_id": None})
    assert broker.pauses == [7, 60, 2, 2, 2]
    assert script.asked[0].query == "plan_id=p&operation=o+1"


@pytest.mark.parametrize("status", [404, 410])
def test_polling_of_a_removal_ends_well_when_it_is_gone(script, broker, status):
    """404 too, of brokers that forget at once."""
    script.say(f"GET {INSTANCE}/last_operation", (status, {}))
    broker.settle(INSTANCE, "o", "deprovision of i", deadline=1000, removes=True)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"state": "failed", "description": "no room"}), "provision of i failed: no room$"),
        ((200, {"state": "failed"}), "provision of i failed: the broker gives no reason$"),
        ((404, {}), "provision of i: the broker does not tell how it goes on"),
    ],
)
def test_operation_that_fails_is_told_with_its_reason(script, broker, answer, told):
    """As the broker gives it."""
    script.say(f"GET {INSTANCE}/last_operation", answer)
    with pytest.raises(osb.Failed, match=told):
        broker.settle(INSTANCE, "o", "provision of i", deadline=1000)


def test_operation_that_takes_too_long_is_told_to_go_on(script, broker):
    """It is asked once more at the very end, and not after it."""
    script.say(f"GET {INSTANCE}/last_operation", (200, {"state": "in progress", "description": "Copy data"}, {"Retry-After": "4"}))
    with pytest.raises(osb.TimedOut, match=r"has not ended in time and goes on \(Copy data\): wait longer by wait_timeout"):
        broker.settle(INSTANCE, "o", "provision of i", deadline=10)
    assert broker.pauses == [4, 4, 2]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("127.0.0.1:8780", "not of the form http"),
        ("ftp://host", "not of the form http"),
        ("http://", "not of the form http"),
        ("http://host:0x", "not of the form http"),
        ("http://host/?a=b", "not of the form http"),
        ("http://ann:secret@host", "holds a user name or password"),
    ],
)
def test_url_that_cannot_be_used_is_told(url, told):
    """Before anything is sent, and without what is in it."""
    with pytest.raises(osb.OsbError, match=told) as refused:
        osb.Broker(url)
    assert "secret" not in str(refused.value)


def test_file_of_authorities_that_cannot_be_used_is_told(tmp_path):
    """What is missing, and what is no certificate."""
    with pytest.raises(osb.OsbError, match=r"ca_path: .*gone cannot be read: No such file"):
        osb.Broker("https://host", ca_path=str(tmp_path / "gone"))
    (tmp_path / "empty").touch()
    with pytest.raises(osb.OsbError, match=r"ca_path: .*empty holds no certificates"):
        osb.Broker("https://host", ca_path=str(tmp_path / "empty"))


def test_certificate_has_to_be_vouched_for(tmp_path):
    """By the system, by a file, which may hold the broker's own, or by whoever says that it is not checked."""
    with scripted_broker.running(certificates.write(tmp_path)) as script:
        script.say("GET /v2/catalog", (200, {"services": []}))
        with pytest.raises(osb.OsbError, match=r"is not trusted \(self-signed certificate\): name who vouches for it by ca_path"):
            osb.Broker(script.url, "ann", PASSWORD).catalog()
        assert script.asked == []
        assert osb.Broker(script.url, ca_path=str(tmp_path / "server.crt")).catalog() == []
        assert osb.Broker(script.url, validate_certs=False).catalog() == []
        plain = osb.Broker(script.url.replace("https", "http"))
        plain.sleep = lambda _seconds: None
        with pytest.raises(osb.OsbError):
            plain.catalog()


def test_names_of_the_catalog_are_found_or_suggested():
    """By name or id, and an id is no better than a name."""
    plans = [{"name": "small", "id": "p1"}, {"name": "large", "id": "p2"}]
    services = [{"name": "redis", "id": "s1", "plans": plans}, {"name": "postgresql", "id": "s2", "plans": []}]
    assert osb.offer(services, "redis", "large").ids == osb.offer(services, "s1", "p2").ids == {"service_id": "s1", "plan_id": "p2"}
    with pytest.raises(osb.OsbError, match="the broker offers no service 'redos'; did you mean 'redis'"):
        osb.offer(services, "redos", "large")
    with pytest.raises(osb.OsbError, match="no plan of redis 'xxl'; there is: small, large"):
        osb.offer(services, "redis", "xxl")
    with pytest.raises(osb.OsbError, match="no plan of postgresql 'small'; there is: none"):
        osb.offer(services, "postgresql", "small")


def test_ids_are_always_the_same_for_the_same_names():
    """Otherwise a playbook would order anew each time; these are in use and never change."""
    assert osb.made_id("apb", "default", "cache") == "1b542d79-8cf9-588a-b187-8cbfcf9277fa"
    assert osb.made_id("a", "b", "c") != osb.made_id("a", "bc", "")
    assert osb.instance_id({"instance_id": "given", "organization": "o", "space": "s", "instance": "i"}) == "given"
    assert osb.binding_path("a/b", "ü %") == "/v2/service_instances/a%2Fb/service_bindings/%C3%BC%20%25"


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_id_that_would_lead_elsewhere_is_refused(identifier):
    """Proxies and servers resolve dots: the removal of such a binding would be one of its instance."""
    with pytest.raises(osb.OsbError, match="cannot be the id of an instance or a binding"):
        osb.binding_path("i", identifier)
    with pytest.raises(osb.OsbError, match="cannot be the id of an instance or a binding"):
        osb.instance_path(identifier)
