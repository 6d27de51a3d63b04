"""bind, credentials, unbind."""

import json


def test_bind_sends_one_osb_request_and_shows_credentials(broker, apb):
    """PUT with the binding's name in the context; then the values, since that is what one binds for."""
    broker.add_instance()
    result = apb("bind", "cache", "shop", "-p", "access=read")
    assert result.exit_code == 0, result.output
    ((path, query, body),) = broker.sent("PUT")
    assert path.startswith("/v2/service_instances/i-1/service_bindings/") and query == {"accepts_incomplete": "true"}
    assert body == {
        "service_id": "service-1",
        "plan_id": "plan-1",
        "context": {"platform": "apb", "binding_name": "shop"},
        "parameters": {"access": "read"},
    }
    assert "password  s3cret" in result.stdout and "uri       redis://b1:s3cret@127.0.0.1:21000" in result.stdout


def test_bind_gives_programs_the_binding_with_credentials(broker, apb):
    """One document; without waiting its credentials are null."""
    broker.add_instance()
    document = json.loads(apb("bind", "cache", "shop", "-o", "json").stdout)
    assert (document["name"], document["instance"]) == ("shop", {"id": "i-1", "name": "cache"})
    assert document["credentials"]["port"] == 21000
    assert json.loads(apb("bind", "cache", "other", "--no-wait", "-o", "json").stdout)["credentials"] is None


def test_bind_takes_a_synchronous_answer(broker, apb):
    """201 without an operation: nothing to wait for."""
    broker.add_instance()
    broker.answers["PUT bind"] = [(201, {"credentials": {}}, {})]
    assert "s3cret" in apb("bind", "cache", "shop").stdout


def test_bind_refuses_a_taken_name_before_any_change(broker, apb):
    """Exit code 4, and no PUT."""
    broker.add_instance()
    broker.add_binding()
    result = apb("bind", "cache", "shop")
    assert result.exit_code == 4 and "has a binding 'shop' already (ready)" in result.stderr
    assert not broker.sent("PUT")


def test_rotate_asks_for_a_successor_and_shows_its_credentials(broker, apb):
    """The predecessor by its id, and no parameters: they are taken over. The old binding is left alone."""
    broker.add_instance()
    broker.add_binding()
    result = apb("rotate", "cache", "shop", "shop-2")
    assert result.exit_code == 0, result.output
    ((_path, _query, body),) = broker.sent("PUT")
    assert (body["predecessor_binding_id"], body["context"]["binding_name"]) == ("b-1", "shop-2")
    assert "parameters" not in body and "s3cret" in result.stdout
    assert not broker.sent("DELETE")


def test_credentials_are_the_document(broker, apb):
    """The values as they are, for programs without anything around them."""
    broker.add_instance()
    broker.add_binding()
    assert json.loads(apb("credentials", "cache", "shop", "-o", "json").stdout)["password"] == "s3cret"
    assert "username  b1" in apb("credentials", "cache", "b-1").stdout


def test_credentials_say_which_bindings_there_are(broker, apb):
    """Exit code 3 and the names; several of one name need an id."""
    broker.add_instance()
    broker.add_binding()
    result = apb("credentials", "cache", "nobody")
    assert (result.exit_code, result.stderr) == (3, "apb: instance 'cache' has no binding 'nobody'; it has: shop\n")
    broker.add_binding(binding_id="b-2")
    assert "give the id, one of b-1, b-2" in apb("credentials", "cache", "shop").stderr


def test_unbind_removes(broker, apb):
    """DELETE with service and plan; an id as it is known from other platforms works too."""
    broker.add_instance()
    broker.add_binding(name=None, binding_id="b/1")
    result = apb("unbind", "cache", "b/1")
    assert result.exit_code == 0, result.output
    ((path, query, _),) = broker.sent("DELETE")
    assert path == "/v2/service_instances/i-1/service_bindings/b%2F1"
    assert (query["service_id"], query["plan_id"]) == ("service-1", "plan-1")
    assert "'b/1' is unbound" in result.stdout
