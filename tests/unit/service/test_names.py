"""Names, secrets, needs, connection and credentials of an instance."""

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import service

INSTANCE = {"id": "i", "name": "cache", "names": {"slug": "redis-1"}, "host": "127.0.0.1", "ports": {"client": 21000}}
CREDENTIALS = {
    "type": "redis",
    "host": "127.0.0.1",
    "port": 21000,
    "username": "b0123456789ab",
    "password": "p/w:%40 hush",
    "uri": "redis://b0123456789ab:p%2Fw%3A%2540%20hush@127.0.0.1:21000",
}


def test_slug_is_stable_and_harmless():
    """Names on machines do not change between releases, and ids of any characters become twelve hex digits."""
    assert service.slug("redis", "x") == "redis-2d711642b726"
    assert service.slug("redis", "../é; rm").removeprefix("redis-").isalnum()


def test_binding_username_depends_on_instance_and_binding():
    """Binding ids are unique only within their instance, and no two pairs run together."""
    names = {service.binding_username(*pair) for pair in (("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab"))}
    assert len(names) == 5
    assert service.binding_username("x", "y") == "bce3890a816f5"


def test_needs_follow_the_parameters(plan):
    """Memory is what the tenant asked for."""
    assert service.needs(plan, {"memory": 0.5}) == {"memory_gb": 0.5, "ports": ["client"], "copies": 1}


def test_needs_compute_with_fixed_parameters(description, load):
    """Expressions keep their types and see what the plan sets."""
    description["parameters"]["replicas"] = {"type": "integer", "minimum": 0}
    description["plans"][0].update(
        set={"replicas": 2}, needs={"memory_gb": "{{ parameters.size }}", "copies": "{{ 1 + parameters.replicas }}"}
    )
    plan = load(description).plans[0]
    assert service.needs(plan, service.create_parameters(plan, {})) == {"memory_gb": 2.0, "ports": [], "copies": 3}


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"copies": 0}, "needs.copies: 0 is not a whole number of at least 1"),
        ({"copies": "{{ parameters.size / 0 }}"}, "needs: '{{ parameters.size / 0 }}' cannot be evaluated: division by zero"),
        ({"memory_gb": "{{ 'a' }}"}, "needs.memory_gb: 'a' is not a number of at least 0"),
        ({"ports": ["a", "a"]}, "needs.ports: ['a', 'a'] is not a list of different names"),
        ({"memory_gb": "{{ parameters.__class__ }}"}, "is not a parameter of the service"),
        ({"memory_gb": "{{ ''.__class__.__mro__ }}"}, "cannot be evaluated"),
    ],
)
def test_needs_that_make_no_sense_are_the_operators_error(description, load, needs, said):
    """A broken expression is a ServiceError, never a tenant's fault nor an instance without memory."""
    description["plans"][0]["needs"] = needs
    with pytest.raises(service.ServiceError) as caught:
        service.needs(load(description).plans[0], {"size": 1})
    assert said in str(caught.value)


def test_connection_is_known_from_the_placement(plan):
    """Host and port, and the DNS name only when given; the port stays a number."""
    assert service.connection(plan, INSTANCE, {"memory": 1}) == {"host": "127.0.0.1", "port": 21000}
    assert service.connection(plan, INSTANCE, {"host": "cache.example.com"})["dns_name"] == "cache.example.com"


@pytest.mark.parametrize("text", ["{{ instance.ports }}", "{% for a in b %}", "12", "[1, 2]", "None", "{{ lookup('pipe','id') }}", "True"])
def test_tenants_string_stays_a_string(plan, text):
    """A tenant's value is data: neither rendered as a template nor read as a Python literal."""
    assert service.connection(plan, INSTANCE, {"host": text})["dns_name"] == text


def test_connection_cannot_read_secrets(plan_with, description, load):
    """Even an expression that computes its way cannot reach secrets or sensitive parameters: they are not among its variables."""
    description["parameters"]["key"] = {"type": "string", "x-sensitive": True}
    description["plans"][0]["parameters"]["key"] = {}
    description["connection"] = {"all": "{{ parameters }} {{ instance }}"}
    plan = load(description).plans[0]
    shown = service.connection(plan, {**INSTANCE, "secrets": {"root": "hush"}, "outputs": {"a": "hush"}}, {"size": 1, "key": "hush"})
    assert "hush" not in str(shown)


def test_parameter_may_be_called_like_a_method(description, load):
    """`parameters.items` is the parameter, not a method of Python's."""
    description["parameters"]["items"] = {"type": "integer", "minimum": 0}
    description["plans"][0]["parameters"]["items"] = {}
    description["connection"] = {"items": "{{ parameters.items }}", "text": "n={{ parameters.items }}", "minus": "{{-parameters.items-}}"}
    assert service.connection(load(description).plans[0], INSTANCE, {"items": 7}) == {"items": 7, "text": "n=7", "minus": 7}


def test_late_fields_are_published_later(description, load):
    """`late` is no field of the connection but the names of fields to come."""
    description["connection"] = {"host": "{{ instance.host }}", "late": ["ipv4"]}
    plan = load(description).plans[0]
    assert service.connection(plan, INSTANCE, {}) == {"host": "127.0.0.1"}
    assert plan.late == ("ipv4",)


def test_secrets_are_made_once(plan):
    """New ones are long and differ; existing ones are kept; the tenant's password is used where given."""
    made = service.secrets(plan, {"memory": 1}, {})
    assert set(made) == {"admin_password", "default_password"}
    assert len(set(made.values())) == 2
    assert all(len(value) == 32 for value in made.values())
    assert service.secrets(plan, {"memory": 1}, made) == made
    chosen = service.secrets(plan, {"password": "hush-hush"}, {})
    assert chosen["default_password"] == "hush-hush" != chosen["admin_password"]


def test_credentials_of_the_promised_shape_pass(plan):
    """With and without the optional DNS name."""
    service.check_credentials(plan, CREDENTIALS)
    service.check_credentials(plan, {**CREDENTIALS, "dns_name": "cache.example.com"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": "21000"}, "credentials.port is not a whole number"),
        ({"password": "hush"}, "credentials.password is shorter than 8 characters"),
        ({"uri": "redis://b:hush/hush@h"}, "credentials.uri does not match the pattern"),
        ({"extra": "hush"}, "credentials has a field that its description does not have"),
        ({"type": "hush"}, 'credentials.type is not "redis"'),
        ({"host": None}, "credentials.host is not a string"),
        (None, "credentials.host is missing"),
        ([], "credentials is not an object"),
    ],
)
def test_credentials_of_another_shape_are_refused_without_showing_them(plan, change, said):
    """The message names the field and what it should be, never a value."""
    given = {**CREDENTIALS, **change} if isinstance(change, dict) else [] if change == [] else {"type": "redis"}
    with pytest.raises(service.CredentialsError) as caught:
        service.check_credentials(plan, given)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


def test_names_of_an_instance_fit_where_they_are_used():
    """Databases need no quotes, prefixes end where keys begin, and 63 characters are enough for the longest service name."""
    names = service.names("a" * 39 + "-", "x")
    assert names == {"slug": "a" * 39 + "--2d711642b726", "database": "a" * 39 + "__2d711642b726", "prefix": "a" * 39 + "--2d711642b726:"}
    assert len(names["database"]) <= 63
