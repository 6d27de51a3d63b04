"""Names, conditions, parameters, restrictions and transforms: the small rules."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given, settings, strategies

from apb_controller.rules import conditions, names, parameters, restrictions, times, transforms
from apb_controller.rules.parameters import Source
from apb_controller.scopes import CLUSTER, NAMESPACED
from tests.unit.controller.cluster import NOW, later, world

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUICK = settings(database=None, deadline=None, max_examples=300, derandomize=True)


@pytest.mark.parametrize(
    ("external_id", "name"),
    [
        ("zookeeper", "z7azookeeper"),
        ("4f6e6cf6-ffdd-425f-a2c7-3c9258ad2468", "4f6e6cf6-ffdd-425f-a2c7-3c9258ad2468"),
        ("a.b", "a.b"),
        (".a.", "z2eza" + "z2ez"),
        ("a..b", "a.z2ezb"),
        ("a-.b", "a-z2ezb"),
        ("a.-b", "a.z2dzb"),
        ("a--b", "a--b"),
        ("-a-", "z2dzaz2dz"),
        ("Redis_1", "z52zedisz5fz1"),
        ("é", "ze9z"),
        ("", ""),
    ],
)
def test_name_is_the_escaped_id(external_id, name):
    """§1.7, GenerateEscapedName."""
    assert names.escaped(external_id) == name


def test_name_of_a_long_id_ends_with_its_digest():
    """§1.7: 30 characters, without a dot at their end, and MD5 of the id."""
    for long in ("a" * 64, "a" * 29 + "." + "b" * 40):
        kept = long[:30].removesuffix(".")
        assert names.escaped(long) == f"{kept}-{hashlib.md5(long.encode(), usedforsecurity=False).hexdigest()}"
    assert names.escaped("a" * 63) == "a" * 63


@QUICK
@given(strategies.text(min_size=1, max_size=80))
def test_name_is_one_that_kubernetes_takes(external_id):
    """§1.1: a DNS-1123 subdomain of at most 63 characters, whatever the id."""
    name = names.escaped(external_id)
    assert len(name) <= 63
    assert SUBDOMAIN.fullmatch(name)


@QUICK
@given(strategies.lists(strategies.text(alphabet="azZ-.7_é", min_size=1, max_size=12), unique=True, max_size=20))
def test_names_of_different_ids_differ(ids):
    """Or two services would be one object."""
    assert len({names.escaped(one) for one in ids}) == len(ids)


def test_labels_are_hashes_of_what_is_there():
    """§1.7: hex SHA-224 of the field."""
    found = names.labels({"spec.externalID": "C1", "spec.externalName": None})
    assert found == {"servicecatalog.k8s.io/spec.externalID": hashlib.sha224(b"C1").hexdigest()}


def test_condition_moves_only_when_its_status_changes():
    """lastTransitionTime is of the status, not of the reason."""
    first = conditions.with_condition(None, "Ready", "False", "A", "a", NOW)
    moment = later(world(), minutes=5).now
    same = conditions.with_condition(first, "Ready", "False", "B", "b", moment)
    assert (same[0]["reason"], same[0]["lastTransitionTime"]) == ("B", "2026-03-01T12:00:00Z")
    changed = conditions.with_condition(same, "Ready", "True", "C", "c", moment)
    assert changed[0]["lastTransitionTime"] == "2026-03-01T12:05:00Z"


def test_condition_keeps_its_place_and_others():
    """A list that is written anew must not look changed."""
    both = conditions.with_condition(conditions.with_condition([], "Ready", "False", "A", "", NOW), "Failed", "True", "F", "", NOW)
    again = conditions.with_condition(both, "Ready", "False", "A", "", later(world(), hours=1).now)
    assert again == both
    assert [one["type"] for one in conditions.without(both, "Ready")] == ["Failed"]


@pytest.mark.parametrize(
    ("listed", "shown"),
    [
        ([], ""),
        ([("Ready", "True", "A")], "Ready"),
        ([("Ready", "False", "A")], "A"),
        ([("Ready", "True", "A"), ("Failed", "True", "F")], "Failed"),
    ],
)
def test_last_state_is_of_the_last_condition(listed, shown):
    """§1.5: its type if True, else its reason."""
    assert conditions.last_state([{"type": kind, "status": status, "reason": reason} for kind, status, reason in listed]) == shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86400), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("", None), ("1 h", None), ("h", None), ("-1h", None)],
)
def test_duration_is_as_go_writes_it(text, seconds):
    """metav1.Duration."""
    found = times.duration(text)
    assert (found.total_seconds() if found else None) == seconds


def test_secret_parameters_are_joined_and_redacted():
    """§2.5."""
    found = parameters.merged({"a": 1}, [Source("s", "k", '{"b": {"c": "canary"}}'), Source("t", "k", '{"d": 2}')])
    assert found.values == {"a": 1, "b": {"c": "canary"}, "d": 2}
    assert found.shown == {"a": 1, "b": "<redacted>", "d": "<redacted>"}


@pytest.mark.parametrize("sources", [['{"a": 2}'], ['{"b": 1}', '{"b": 1}']], ids=["inline", "two secrets"])
def test_parameter_given_twice_is_a_conflict(sources):
    """§2.5: top-level duplicates anywhere."""
    with pytest.raises(parameters.ParametersError, match=r'^conflict: duplicate entry for parameter "[ab]"$'):
        parameters.merged({"a": 1}, [Source("s", str(number), text) for number, text in enumerate(sources)])


@pytest.mark.parametrize("text", ["canary", '["canary"]', '{"a": canary}', '{"a": NaN, "b": "canary"}', "[" * 100_000, None])
def test_secret_that_holds_no_parameters_is_named_and_not_quoted(text):
    """The message says where, and nothing of the value."""
    with pytest.raises(parameters.ParametersError, match=r'"k".*"s"') as error:
        parameters.merged({}, [Source("s", "k", text)])
    assert "canary" not in str(error.value)


def test_checksum_is_that_of_gos_json():
    """§2.5: hex SHA-256 of sorted, compact JSON, as encoding/json writes it: <, > and & escaped, 1.0 is 1."""
    text = r'{"a":"\u003cb\u003e\u0026é","n":1,"x":[1,2.5]}'
    assert parameters.checksum({"x": [1.0, 2.5], "n": 1.0, "a": "<b>&é"}) == hashlib.sha256(text.encode()).hexdigest()
    assert parameters.merged(None, []).checksum is None


PROPERTIES = {"name": "n1", "spec.externalName": "redis", "spec.externalID": "C1", "spec.free": "true"}


@pytest.mark.parametrize(
    ("restriction", "is_met"),
    [
        ("spec.externalName=redis", True),
        ("spec.externalName==redis", True),
        ("spec.externalName = redis", True),
        ("spec.externalName!=redis", False),
        ("spec.externalName in (redis, kafka)", True),
        ("spec.externalName in (kafka)", False),
        ("spec.externalName notin (redis,kafka)", False),
        ("spec.externalName notin (kafka)", True),
        ("spec.externalName", True),
        ("!spec.externalName", False),
        ("spec.free=true, name in (n1)", True),
        ("spec.free=true, name in (n2)", False),
        ("name > 3", False),
    ],
)
def test_restriction_is_a_label_selector(restriction, is_met):
    """§2.2 catalogRestrictions."""
    requirements = restrictions.read([restriction], [*restrictions.class_properties(), "spec.free"])
    assert restrictions.are_met(requirements, PROPERTIES) is is_met


@pytest.mark.parametrize(("value", "above", "below"), [("4", True, False), ("3", False, False), ("2", False, True), ("x", False, False)])
def test_restriction_compares_numbers(value, above, below):
    """The selectors' > and <."""
    for operator, is_met in ((">", above), ("<", below)):
        assert restrictions.are_met(restrictions.read([f"name {operator} 3"], ["name"]), {"name": value}) is is_met


def test_restrictions_have_all_to_be_met():
    """Joined by ", "."""
    requirements = restrictions.read(["name=n1", "spec.externalID=other"], restrictions.class_properties())
    assert not restrictions.are_met(requirements, PROPERTIES)


@pytest.mark.parametrize(
    ("restriction", "properties", "text"),
    [
        ("spec.color=red", restrictions.class_properties(), "Invalid property: spec.color"),
        ("spec.free=true", restrictions.class_properties(), "Invalid property: spec.free"),
        ("spec.serviceClass.name=x", restrictions.plan_properties(CLUSTER), "Invalid property: spec.serviceClass.name"),
        ("name in redis", restrictions.class_properties(), 'catalogRestrictions: "name in redis" is no requirement'),
        ("name > x", restrictions.class_properties(), 'catalogRestrictions: in "name > x" a whole number has to follow >'),
        ("", restrictions.class_properties(), 'catalogRestrictions: "" is no requirement'),
    ],
)
def test_restriction_that_cannot_be_used_is_told(restriction, properties, text):
    """Upstream's "Invalid property: %s", and ours for what cannot be read."""
    with pytest.raises(restrictions.RestrictionError) as error:
        restrictions.read([restriction], properties)
    assert str(error.value).startswith(text)


def test_plans_are_restricted_by_their_class_too():
    """§2.2: `spec.clusterServiceClass.name` | `spec.serviceClass.name`."""
    assert "spec.clusterServiceClass.name" in restrictions.plan_properties(CLUSTER)
    assert "spec.serviceClass.name" in restrictions.plan_properties(NAMESPACED)


def data(credentials, steps, secrets=None):
    found = transforms.secret_data(transforms.applied(credentials, steps, secrets or {}))
    return {key: base64.b64decode(value) for key, value in found.items()}


B64 = base64.b64encode(b"\xff\x00").decode()
CREDENTIALS = {"host": "h", "ports": [6379, 6380], "deep": {"a b": "x"}}


@pytest.mark.parametrize(
    ("steps", "changed"),
    [
        ([{"renameKey": {"from": "host", "to": "HOST"}}], {"HOST": b"h", "host": None}),
        ([{"renameKey": {"from": "gone", "to": "x"}}], {"x": None}),
        ([{"addKey": {"key": "k", "stringValue": "v"}}], {"k": b"v"}),
        ([{"addKey": {"key": "k", "value": B64}}], {"k": b"\xff\x00"}),
        ([{"addKey": {"key": "k", "jsonPathExpression": "redis://{.host}:{.ports[0]}/{.deep['a b']}"}}], {"k": b"redis://h:6379/x"}),
        ([{"addKey": {"key": "k", "jsonPathExpression": "{.ports[-1]}"}}], {"k": b"6380"}),
        ([{"addKeysFrom": {"secretRef": {"name": "s"}}}], {"extra": b"\xff\x00"}),
        ([{"removeKey": {"key": "host"}}], {"host": None}),
        ([{"removeKey": {"key": "gone"}}], {}),
        ([{"removeKey": {"key": "host"}}, {"addKey": {"key": "host", "stringValue": "new"}}], {"host": b"new"}),
        ([{"renameKey": {"from": "host", "to": "a"}}, {"renameKey": {"from": "a", "to": "b"}}], {"b": b"h", "a": None, "host": None}),
    ],
)
def test_transforms_are_done_in_their_order(steps, changed):
    """§1.6 secretTransforms; values as §2.4: texts and bytes as they are, otherwise JSON."""
    wanted = {"host": b"h", "ports": b"[6379,6380]", "deep": b'{"a b":"x"}', **changed}
    assert data(CREDENTIALS, steps, {"s": {"extra": B64}}) == {key: value for key, value in wanted.items() if value is not None}


@pytest.mark.parametrize(
    ("credentials", "steps", "text"),
    [
        ({"a/b": "canary"}, [], '"a/b" cannot be a key of a Secret'),
        ({"a": "canary"}, [{"addKey": {"key": "k", "jsonPathExpression": "{.b}"}}], "the credentials have no {.b}"),
        ({"a": "canary"}, [{"addKey": {"key": "k", "jsonPathExpression": "{.a.b}"}}], "the credentials have no {.a.b}"),
        ({"a": "canary"}, [{"addKey": {"key": "k", "jsonPathExpression": "{.a[0]}"}}], "the credentials have no {.a[0]}"),
        ({}, [{"addKey": {"key": "k", "jsonPathExpression": "{..*}"}}], "is no path of fields and indexes"),
        ({}, [{"addKey": {"key": "k", "value": "%"}}], 'addKey "k" is no base64'),
        ({}, [{"addKeysFrom": {"secretRef": {"name": "gone"}}}], 'there is no secret "gone"'),
    ],
)
def test_transform_that_cannot_be_done_is_told_without_values(credentials, steps, text):
    """The message is shown in a condition that many can read."""
    with pytest.raises(transforms.TransformError) as error:
        data(credentials, steps)
    assert text in str(error.value)
    assert "canary" not in str(error.value)


@QUICK
@given(
    strategies.dictionaries(
        strategies.sampled_from(["a", "B.c", "d_e", "-"]),
        strategies.none()
        | strategies.booleans()
        | strategies.integers()
        | strategies.text()
        | strategies.lists(strategies.text(), max_size=3),
    )
)
def test_any_credentials_become_a_secret(credentials):
    """Each value can be read back: as text, or as JSON."""
    for key, value in data(credentials, []).items():
        assert (value.decode() if isinstance(credentials[key], str) else json.loads(value)) == credentials[key]
