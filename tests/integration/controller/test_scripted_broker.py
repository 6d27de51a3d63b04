"""The scripted broker does what a test says, and sees what is wrong: through the OSB client of the controller."""

import asyncio
import contextlib
import json
import signal
import ssl
import subprocess
import sys
import threading

import httpx
import pytest

from apb_controller.osbclient import client
from apb_controller.rules import answers, osb
from apb_controller.rules.answers import Call, Kind, Trouble
from tests import certificates
from tests.brokers import scripted, user_provided

INSTANCE, BINDING = "/v2/service_instances/i", "/v2/service_instances/i/service_bindings/b"
OFFER = {"service_id": "service/Cache", "plan_id": "plan/small"}
CONTEXT = {"platform": "kubernetes", "namespace": "n", "instance_name": "cache", "clusterid": "c"}
NEW = {**OFFER, "organization_guid": "o", "space_guid": "s", "context": CONTEXT, "parameters": {"a": 1}}
IDENTITY = "kubernetes eyJ1c2VybmFtZSI6ICJtZSJ9"  # {"username": "me"}


@pytest.fixture
def broker():
    with scripted.running() as made:
        yield made


def ask(broker, *requests, auth=None, ca_bundle=None, timeout_seconds=5):
    """The answers to requests, one after the other; the only one as it is."""

    async def send():
        http = client.Client(timeout_seconds)
        try:
            return [await http.send(client.Endpoint(broker.url, auth, ca_bundle), request) for request in requests]
        finally:
            await http.close()

    found = asyncio.run(send())
    return found[0] if len(requests) == 1 else found


def provision(path=INSTANCE, **changes):
    return osb.request(Call.PROVISION, path, body={**NEW, **changes}, identity=IDENTITY, may_be_async=True)


def deprovision(path=INSTANCE):
    return osb.request(Call.DEPROVISION, path, query=OFFER, may_be_async=True)


def bind(path=BINDING):
    return osb.request(Call.BIND, path, body=OFFER)


def unbind():
    return osb.request(Call.UNBIND, BINDING, query=OFFER)


def poll(path=INSTANCE, operation=None):
    return osb.request(Call.LAST_OPERATION, f"{path}/last_operation", query={"operation": operation})


def statuses(found):
    return [answer.status for answer in found]


def test_life_of_an_instance_is_the_specifications(broker):
    """201, the same again 200, something else 409; DELETE 200, again 410; and it is all in the history."""
    update = osb.request(Call.UPDATE, INSTANCE, body={**OFFER, "plan_id": "plan/large"}, may_be_async=True)
    lived = ask(
        broker, provision(), provision(), provision(parameters={}), bind(), bind(), update, unbind(), unbind(), deprovision(), deprovision()
    )
    assert statuses(lived) == [201, 200, 409, 201, 200, 200, 200, 410, 200, 410]
    assert json.loads(lived[3].body) == json.loads(lived[4].body)
    assert len(broker.calls(Call.PROVISION, instance_id="i")) == 3
    assert broker.calls(Call.PROVISION)[0].identity == {"username": "me"}
    assert broker.calls(Call.PROVISION)[0].body == NEW
    assert broker.calls(instance_id="other") == []
    broker.assert_clean()
    assert broker.summary()["creations"] == 1


def test_started_operation_goes_on_for_so_many_questions(broker):
    """202 with an operation; the same again is the same one; then it is there, and its end can be asked for when it has gone."""
    broker.script(Call.PROVISION, scripted.Started(polls=2, description="half way", retry_after=3), times=None)
    started, again = ask(broker, provision(), provision())
    operation = json.loads(started.body)["operation"]
    assert (started.status, json.loads(again.body)["operation"], started.headers["retry-after"]) == (202, operation, "3")
    states = [json.loads(answer.body)["state"] for answer in ask(broker, poll(), poll(operation=operation), poll())]
    assert states == ["in progress", "succeeded", "succeeded"]
    broker.script(Call.DEPROVISION, scripted.Started())
    assert ask(broker, deprovision()).status == 202
    assert [json.loads(answer.body)["state"] for answer in ask(broker, poll(), poll())] == ["succeeded", "succeeded"]
    broker.assert_clean()


def test_started_operation_ends_when_the_test_says_so(broker):
    """Well, or with a failure; what was to be made then is to be deleted."""
    broker.script(Call.PROVISION, scripted.Started(polls=None))
    answers = ask(broker, provision(), poll(), poll())
    assert [json.loads(answer.body).get("state") for answer in answers[1:]] == ["in progress", "in progress"]
    broker.finish("i", failure="no room")
    failed, again = ask(broker, poll(), provision())
    assert (json.loads(failed.body), again.status) == ({"state": "failed", "description": "no room"}, 500)
    assert ask(broker, deprovision()).status == 200
    broker.assert_clean()


def test_update_changes_nothing_until_it_has_ended_well(broker):
    """A failed one has changed nothing."""
    broker.script(Call.UPDATE, scripted.Started(failure="no"))
    broker.script(Call.UPDATE, scripted.Started())
    update = osb.request(Call.UPDATE, INSTANCE, body={**OFFER, "plan_id": "plan/large"}, may_be_async=True)
    ask(broker, provision(), update, poll())
    assert (broker.ledger.instances["i"].plan_id, broker.ledger.instances["i"].updates) == ("plan/small", 0)
    ask(broker, update)
    assert broker.ledger.instances["i"].plan_id == "plan/small"
    ask(broker, poll())
    assert (broker.ledger.instances["i"].plan_id, broker.ledger.instances["i"].updates) == ("plan/large", 1)


def test_asynchronous_answer_is_not_given_to_who_cannot_wait(broker):
    """422 AsyncRequired."""
    broker.script(Call.BIND, scripted.Started())
    assert statuses(ask(broker, provision(), bind())) == [201, 422]


@pytest.mark.parametrize("does_it", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "trouble"),
    [
        (scripted.Garbage, Trouble.BROKEN),
        (scripted.Cut, Trouble.BROKEN),
        (lambda **more: scripted.Cut(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{", **more), Trouble.BROKEN),
        (lambda **more: scripted.Cut(is_reset=True, **more), Trouble.BROKEN),
        (scripted.Hang, Trouble.TIMEOUT),
        (scripted.Fail, None),
    ],
    ids=["garbage", "cut", "cut in the answer", "reset", "hang", "fail"],
)
def test_behaviour_is_met_once_whether_it_is_done_or_not(broker, behaviour, trouble, does_it):
    """And only by the call it was said of."""
    broker.script(Call.PROVISION, behaviour(does_it=does_it))
    catalog, met, after = ask(broker, osb.CATALOG, provision(), provision(), timeout_seconds=1.5 if trouble is Trouble.TIMEOUT else 20)
    assert (catalog.status, met.trouble, after.status) == (200, trouble, 200 if does_it else 201)
    broker.assert_sound()
    with pytest.raises(AssertionError, match="instances are left"):
        broker.assert_clean()


def test_scripts_are_met_in_their_order_and_those_without_end_last(broker):
    """Of one instance if so said; and none any more after unscript."""
    broker.script(Call.PROVISION, scripted.Fail(503), times=None)
    broker.script(Call.PROVISION, scripted.Fail(400))
    broker.script(Call.PROVISION, scripted.Fail(429), times=2, instance_id="i")
    other = provision("/v2/service_instances/j", context={})
    assert statuses(ask(broker, other, other, provision(), provision(), provision())) == [400, 503, 429, 429, 503]
    broker.unscript()
    assert ask(broker, provision()).status == 201


def test_call_stands_still_until_it_is_released(broker):
    """So that a test knows where the platform is."""
    held = scripted.Held()
    broker.script(Call.PROVISION, held)
    found = []
    thread = threading.Thread(target=lambda: found.append(ask(broker, provision())))
    thread.start()
    assert held.arrived.wait(5)
    assert not found and not broker.ledger.instances
    held.release()
    thread.join()
    assert found[0].status == 201
    assert len(broker.wait_for(Call.PROVISION)) == 1


def test_slow_answer_comes_all_the_same(broker):
    """Or it is too late for who asked, and nothing is done then."""
    broker.script(Call.PROVISION, scripted.Slow(3), times=1)
    broker.script(Call.PROVISION, scripted.Slow(0.2), times=1)
    assert ask(broker, provision(), timeout_seconds=1.5).trouble is Trouble.TIMEOUT
    assert not broker.ledger.instances
    assert ask(broker, provision()).status == 201


def test_broker_disappears_and_comes_back_on_its_port(broker):
    """With all that it had; who was waiting is cut off."""
    held = scripted.Held()
    broker.script(Call.BIND, held)
    found = []
    thread = threading.Thread(target=lambda: found.extend(ask(broker, provision(), bind())))
    thread.start()
    assert held.arrived.wait(5)
    broker.listener.disappear()
    thread.join()
    assert [answer.trouble for answer in found] == [None, Trouble.BROKEN]
    assert ask(broker, provision()).trouble is Trouble.UNREACHABLE
    broker.listener.come_back()
    assert statuses(ask(broker, provision(), bind())) == [200, 201]
    broker.assert_sound()


def test_catalog_is_what_the_test_says(broker):
    """From one call to the next."""
    broker.ledger.catalog["services"].pop()
    found = answers.classified(Call.CATALOG, ask(broker, osb.CATALOG), None)
    assert found.kind is Kind.DONE
    assert [service["name"] for service in found.body["services"]] == ["cache"]


@pytest.mark.parametrize("auth", [("me", "pass:word"), "a.token"])
def test_login_is_asked_for(auth):
    """And can change."""
    with scripted.running(auth=auth) as broker:
        right = client.Bearer(auth) if isinstance(auth, str) else client.Basic(*auth)
        assert ask(broker, osb.CATALOG, auth=right).status == 200
        assert ask(broker, osb.CATALOG).status == 401
        broker.auth = "another"
        assert ask(broker, osb.CATALOG, auth=right).status == 401


def test_tls_is_spoken(tmp_path):
    """With a certificate of the test's."""
    certificate, key = certificates.write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with scripted.running(context=context) as broker:
        assert ask(broker, osb.CATALOG, ca_bundle=certificate.read_bytes()).status == 200


@pytest.mark.parametrize(
    ("requests", "violation"),
    [
        ([provision(), provision("/v2/service_instances/j")], "double provision: j and i are both for"),
        ([bind()], "binding of nothing: b of i"),
        ([provision(), bind(), deprovision()], "deprovision of an instance with bindings: i"),
        ([provision(plan_id="none")], "provision of a plan that is not in the catalog: service/Cache/none"),
        ([provision(plan_id="plan/large"), bind()], "binding by another service or plan than the instance's: b"),
        ([provision(space_guid=None)], "PUT /v2/service_instances/i: space_guid is missing"),
        ([osb.request(Call.DEPROVISION, INSTANCE)], "DELETE /v2/service_instances/i: service_id is missing"),
        ([osb.request(Call.UPDATE, INSTANCE, body=OFFER)], "update of an instance that is not there: i"),
        ([osb.request(Call.PROVISION, INSTANCE, body=NEW, identity="kubernetes ???")], "the originating identity is none"),
        ([osb.request(Call.CATALOG, "/v2/catalogue")], "GET /v2/catalogue: there is no such path"),
    ],
)
def test_what_a_platform_must_not_do_is_seen(broker, requests, violation):
    """And fails the test."""
    ask(broker, *requests)
    with pytest.raises(AssertionError) as found:
        broker.assert_sound()
    assert violation in str(found.value)


def test_two_calls_at_a_time_for_one_instance_are_seen(broker):
    """The platform is to wait for the first."""
    broker.script(Call.PROVISION, scripted.Slow(0.3), times=None)

    async def both():
        http = client.Client(5)
        await asyncio.gather(*(http.send(client.Endpoint(broker.url), provision()) for _ in range(2)))
        await http.close()

    asyncio.run(both())
    assert broker.summary()["violations"] == ["two calls at a time for i"]


def test_user_provided_credentials_are_the_parameters():
    """Or upstream's two special values."""
    (service, _) = user_provided.catalog()["services"]
    offer = {"service_id": service["id"], "plan_id": service["plans"][0]["id"]}
    for parameters, credentials in (({"credentials": {"a": "b"}}, {"a": "b"}), ({"x": "y"}, user_provided.UNTOLD)):
        with contextlib.closing(user_provided.broker()) as broker:
            requests = provision(**offer, parameters=parameters), osb.request(Call.BIND, BINDING, body=offer)
            assert json.loads(ask(broker, *requests)[1].body) == {"credentials": credentials}
            broker.assert_sound()


@pytest.mark.parametrize("module", ["scripted", "user_provided"])
def test_broker_is_a_process_of_its_own(module):
    """For whoever wants to measure: an address, a summary, an end."""
    command = [sys.executable, "-m", f"tests.brokers.{module}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        headers = {"X-Broker-API-Version": "2.17"}
        assert httpx.get(f"{url}/v2/catalog", headers=headers, trust_env=False).status_code == 200
        assert httpx.get(f"{url}/summary", trust_env=False).json()["calls"] == {"catalog": 1}
        process.send_signal(signal.SIGTERM)
        summary = json.loads(process.stdout.readline())
    assert process.returncode == 0
    assert (summary["instances"], summary["violations"]) == (0, [])
