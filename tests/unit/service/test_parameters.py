"""Parameters are never bent: what fits comes back unchanged in meaning, everything else is refused by name, value and limit."""

import copy
import math

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import service

STEPS = [tenth / 10 for tenth in range(1, 41)]
DEEP: list = []
for _ in range(100):
    DEEP = [DEEP]


@pytest.mark.parametrize("memory", STEPS)
@pytest.mark.parametrize("written", [float, str, lambda number: f"{number:.2f}"], ids=["number", "string", "string with zeros"])
def test_memory_accepts_every_step(plan, memory, written):
    """Each step from 0.1 to 4.0 GB is accepted as a number and as a string, and comes back as the same number."""
    assert service.create_parameters(plan, {"memory": written(memory)}) == {"memory": memory}


REFUSED = [
    ({"memory": 9}, "parameter 'memory': 9 is above the maximum of 4 GB"),
    ({"memory": 4.1}, "parameter 'memory': 4.1 is above the maximum of 4 GB"),
    ({"memory": "9"}, "parameter 'memory': \"9\" is above the maximum of 4 GB"),
    ({"memory": 0}, "parameter 'memory': 0 is below the minimum of 0.1 GB"),
    ({"memory": -1}, "parameter 'memory': -1 is below the minimum of 0.1 GB"),
    ({"memory": 0.15}, "parameter 'memory': 0.15 is not a multiple of 0.1 GB"),
    ({"memory": "0.15"}, "parameter 'memory': \"0.15\" is not a multiple of 0.1 GB"),
    ({"memory": 0.1 + 0.2}, "parameter 'memory': 0.30000000000000004 is not a multiple of 0.1 GB"),
    ({"memory": True}, "parameter 'memory': true is not a number"),
    ({"memory": None}, "parameter 'memory': null is not a number"),
    ({"memory": [1]}, "parameter 'memory': [1] is not a number"),
    ({"memory": "much"}, "parameter 'memory': \"much\" is not a number in plain digits, at most 15 of them"),
    ({"memory": "1e3"}, "parameter 'memory': \"1e3\" is not a number in plain digits, at most 15 of them"),
    (
        {"memory": "4.00000000000000000001"},
        "parameter 'memory': \"4.00000000000000000001\" is not a number in plain digits, at most 15 of them",
    ),
    ({"memory": math.nan}, "parameter 'memory': NaN is not a number with a value"),
    ({"memory": math.inf}, "parameter 'memory': Infinity is not a number with a value"),
    ({"memory": 10**60}, "parameter 'memory' has more than 40 digits"),
    ({"colour": "red"}, "parameter 'colour' is unknown; allowed: host, memory, password"),
    ({"host": "a b"}, "parameter 'host': \"a b\" is not a DNS name (labels of letters, digits and hyphens, separated by dots)"),
    ({"host": "{{ lookup('pipe','id') }}"}, "is not a DNS name"),
    ({"host": ""}, "parameter 'host': \"\" is"),
    ({"host": "a" * 254}, "is longer than 253 characters"),
    ({"host": "a\n"}, "parameter 'host': \"a\\n\" holds a control character"),
    ({"host": "a\x00b"}, "parameter 'host': \"a\\u0000b\" holds a control character"),
    ({"host": "a\x9bb"}, "parameter 'host': \"a\\u009bb\" holds a control character"),
    ({"host": "\ud800"}, "holds a control character"),
    ({"host": 7}, "parameter 'host': 7 is not a string"),
    ({"host": {"a": {1: 2}}}, "parameter 'host.a' has a name that is not a string"),
    ({"host": DEEP}, "is nested deeper than 16 levels"),
    ({"host": "a" * 70_000}, "the parameters are larger than 64 KiB altogether"),
    ({"host": b"bytes"}, "parameter 'host' is not a JSON value"),
    ({"a\x1b[2J": 1}, "parameter 'a\\u001b[2J' is unknown"),
    ({7: 1}, "parameter '7' is not a name"),
    ([], "the parameters must be an object of names and values"),
    (None, "the parameters must be an object of names and values"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[said[:60] for _, said in REFUSED])
def test_create_refuses_what_breaks_a_limit(plan, given, said):
    """The message names the parameter, its value as it was given, and the limit in words."""
    with pytest.raises(service.ParameterError) as caught:
        service.create_parameters(plan, given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text", ["+1", " 1", "1 ", "1_0", "01", ".5", "5.", "0x1", "１", "", "-", "1,5", "nan", "NaN", "inf", "1\n", "1" * 41]
)
def test_numbers_given_as_strings_are_plain_digits(plan, text):
    """Only what everybody reads as the same number is taken for one."""
    with pytest.raises(service.ParameterError):
        service.create_parameters(plan, {"memory": text})


def test_number_as_string_is_identical_to_the_number(plan):
    """A client that re-sends 0.5 as "0.5" or 1.0 as 1 re-sends the same request, also once written as JSON."""
    written = [repr(service.create_parameters(plan, {"memory": value})) for value in (1, 1.0, "1", "1.0")]
    assert set(written) == {"{'memory': 1}"}
    assert service.create_parameters(plan, {"memory": "0.5"}) == service.create_parameters(plan, {"memory": 0.5})


def test_create_leaves_the_given_parameters_alone(plan):
    """The caller's dictionary is not changed by defaults or numbers read from strings."""
    given = {"memory": "0.5"}
    before = copy.deepcopy(given)
    service.create_parameters(plan, given)
    assert given == before


def test_create_fills_defaults(plan):
    """Defaults are visible afterwards; optional parameters without one stay out."""
    assert service.create_parameters(plan, {}) == {"memory": 1}


def test_what_fitted_before_is_not_taken_for_what_looks_like_it(plan_with):
    """True is not 1, and "1" is a text: what is remembered is told apart by its kind. Nobody is given what others are given too."""
    plan = plan_with(number={"type": "number", "minimum": 0, "maximum": 9}, flag={"type": "boolean"}, text={"type": "string"})
    for _ in range(2):
        for given in ({"number": 1}, {"flag": True}, {"text": "1"}):
            made = service.create_parameters(plan, given)
            assert repr(made) == repr(given)
            made["more"] = 1
        for wrong in ({"number": True}, {"flag": 1}, {"text": 1}):
            with pytest.raises(service.ParameterError):
                service.create_parameters(plan, wrong)


def test_what_fitted_before_is_bounded_and_holds_no_secret(plan_with):
    """Of a sensitive parameter and of long texts nothing is kept, of all others no more than so many."""
    plan = plan_with(number={"type": "integer", "minimum": 0}, text={"type": "string"}, password={"type": "string", "x-sensitive": True})
    service.create_parameters(plan, {"number": 1, "password": "hush"})
    service.create_parameters(plan, {"text": "long" * 100})
    assert plan.checks._fitting == {}
    for number in range(1000):
        assert service.create_parameters(plan, {"number": number}) == {"number": number}
    assert 0 < len(plan.checks._fitting) <= 256


@pytest.mark.parametrize("password", ["hush", "x" * 129, "ümlaut-in-it", "hush-hush\n", 12345678, ["hush-hush"], {"hush": "hush"}, None])
def test_sensitive_value_is_never_in_a_message(plan, password):
    """Whatever is wrong with a sensitive parameter, neither the text nor the error's attributes hold the value."""
    with pytest.raises(service.ParameterError) as caught:
        service.create_parameters(plan, {"password": password})
    assert "hush" not in str(caught.value) + repr(vars(caught.value))
    assert "12345678" not in str(caught.value)
    assert "parameter 'password" in str(caught.value)


def test_value_of_an_unknown_parameter_is_not_shown(plan):
    """A mistyped name may carry a secret."""
    with pytest.raises(service.ParameterError) as caught:
        service.create_parameters(plan, {"pasword": "hush-hush"})
    assert "hush" not in str(caught.value) + repr(vars(caught.value))


def test_error_is_one_short_printable_line(plan):
    """No value of a tenant can steer a terminal or fill a log."""
    with pytest.raises(service.ParameterError) as caught:
        service.create_parameters(plan, {"host": "\u202e" + "x" * 5000})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_unlimited_accepts_minus_one_only_where_the_schema_says_so(plan_with):
    """-1 stands outside minimum and step with x-unlimited, as number and string; -2 does not."""
    plan = plan_with(ttl={"type": "integer", "minimum": 10, "maximum": 100, "multipleOf": 10, "x-unlimited": True})
    for value in (-1, "-1", -1.0):
        assert service.create_parameters(plan, {"ttl": value}) == {"ttl": -1}
    for value in (-2, 0, 15, 110):
        with pytest.raises(service.ParameterError):
            service.create_parameters(plan, {"ttl": value})


@pytest.mark.parametrize("value", [0.5, "0.5", "2.5", True, "two", 1e300])
def test_integer_refuses_what_is_not_whole(plan_with, value):
    """A fraction is not cut off to fit an integer."""
    with pytest.raises(service.ParameterError):
        service.create_parameters(plan_with(nodes={"type": "integer", "minimum": 0, "maximum": 9}), {"nodes": value})


@pytest.mark.parametrize("value", [3, 3.0, "3", "3.0"])
def test_integer_accepts_whole_numbers_however_written(plan_with, value):
    """3.0 is a whole number in JSON Schema; it comes back as int."""
    made = service.create_parameters(plan_with(nodes={"type": "integer", "minimum": 0, "maximum": 9}), {"nodes": value})
    assert repr(made) == "{'nodes': 3}"


def test_text_that_looks_like_a_number_stays_text(plan_with):
    """Only where the schema says number is a string read as one."""
    plan = plan_with(tag={"type": "string"})
    assert service.create_parameters(plan, {"tag": "0.50"}) == {"tag": "0.50"}


NESTED = {
    "type": "object",
    "properties": {
        "size": {"type": "number", "minimum": 0.1, "maximum": 2, "multipleOf": 0.1, "x-unit": "GB"},
        "class": {"type": "string", "enum": ["fast", "cheap"], "default": "cheap"},
        "zones": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 3}, "maxItems": 2, "uniqueItems": True},
    },
    "required": ["size"],
}


def test_nested_values_are_normal_at_every_level(plan_with):
    """Numbers are read and defaults filled inside objects and lists too."""
    made = service.create_parameters(plan_with(storage=NESTED), {"storage": {"size": "0.3", "zones": ["1", 2.0]}})
    assert made == {"storage": {"size": 0.3, "class": "cheap", "zones": [1, 2]}}


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ({"size": 0.25}, "parameter 'storage.size': 0.25 is not a multiple of 0.1 GB"),
        ({"size": "3"}, "parameter 'storage.size': \"3\" is above the maximum of 2 GB"),
        ({}, "parameter 'storage.size' is required"),
        ({"size": 1, "colour": "red"}, "parameter 'storage.colour' is unknown; allowed: class, size, zones"),
        ({"size": 1, "class": "slow"}, 'parameter \'storage.class\': "slow" is not one of "fast", "cheap"'),
        ({"size": 1, "zones": [1, 4]}, "parameter 'storage.zones[1]': 4 is above the maximum of 3"),
        ({"size": 1, "zones": [1, "1"]}, "parameter 'storage.zones': [1, \"1\"] has the same entry twice"),
        ({"size": 1, "zones": [1, 2, 3]}, "has more than 2 entries"),
        ("big", "parameter 'storage': \"big\" is not an object"),
    ],
)
def test_nested_values_keep_their_limits(plan_with, storage, said):
    """The message names the place inside the parameter."""
    with pytest.raises(service.ParameterError) as caught:
        service.create_parameters(plan_with(storage=NESTED), {"storage": storage})
    assert said in str(caught.value)


def test_required_parameter_is_asked_for(plan_with):
    """x-required parameters must be given on creation, not on update."""
    plan = plan_with(topic={"type": "string", "x-required": True, "x-updatable": True})
    with pytest.raises(service.ParameterError, match="parameter 'topic' is required"):
        service.create_parameters(plan, {})
    assert service.update_parameters(plan, {"topic": "a"}, {}) == {"topic": "a"}


def test_update_merges_given_into_current(plan):
    """What is not given stays, what is given must fit."""
    assert service.update_parameters(plan, {"memory": 1, "host": "a.b"}, {"memory": "2"}) == {"memory": 2, "host": "a.b"}
    with pytest.raises(service.ParameterError, match=r"parameter 'memory': 5 is above the maximum of 4 GB"):
        service.update_parameters(plan, {"memory": 1}, {"memory": 5})


def test_update_refuses_to_change_what_is_not_updatable(plan):
    """A parameter without x-updatable may be repeated, not changed; a secret stays out of the message."""
    current = {"memory": 1, "host": "a.b", "password": "hush-hush"}
    assert service.update_parameters(plan, current, current) == current
    with pytest.raises(service.ParameterError, match=r"parameter 'host': \"c.d\" cannot be given: it stays as it was created"):
        service.update_parameters(plan, current, {"host": "c.d"})
    with pytest.raises(service.ParameterError, match="parameter 'password': <sensitive> cannot"):
        service.update_parameters(plan, current, {"password": "hush-hush2"})


def test_update_does_not_fall_back_to_defaults(plan):
    """An update of nothing keeps a value that differs from the default."""
    assert service.update_parameters(plan, {"memory": 3}, {}) == {"memory": 3}


def test_bind_parameters_have_defaults_and_limits(plan):
    """access is readwrite unless it is read."""
    assert service.bind_parameters(plan, {}) == {"access": "readwrite"}
    assert service.bind_parameters(plan, {"access": "read"}) == {"access": "read"}
    with pytest.raises(service.ParameterError, match=r"parameter 'access': \"admin\" is not one of \"readwrite\", \"read\""):
        service.bind_parameters(plan, {"access": "admin"})


def test_redact_and_sensitive_split_the_parameters(plan):
    """Together they are everything; what the plan does not know counts as sensitive."""
    parameters = {"memory": 1, "password": "hush-hush", "of_an_older_version": "hush"}
    assert service.redact(plan, parameters) == {"memory": 1}
    assert service.sensitive(plan, parameters) == {"password": "hush-hush", "of_an_older_version": "hush"}


def test_line_breaks_are_for_multiline_parameters_only(plan_with):
    """SQL or a configuration has lines; elsewhere a line break would end up in logs and files as something else."""
    plan = plan_with(sql={"type": "string", "x-multiline": True}, word={"type": "string"})
    assert service.create_parameters(plan, {"sql": "select 1;\n\tselect 2;"}) == {"sql": "select 1;\n\tselect 2;"}
    for given in ({"word": "a\nb"}, {"sql": "a\0b"}):
        with pytest.raises(service.ParameterError, match="holds a control character"):
            service.create_parameters(plan, given)


def test_line_breaks_inside_lists_and_objects_follow_their_own_schema(plan_with):
    """The keyword belongs to the innermost value."""
    plan = plan_with(
        scripts={"type": "array", "items": {"type": "string", "x-multiline": True}},
        named={"type": "object", "additionalProperties": {"type": "string"}},
    )
    assert service.create_parameters(plan, {"scripts": ["a\nb"]}) == {"scripts": ["a\nb"]}
    with pytest.raises(service.ParameterError, match=r"named\.a"):
        service.create_parameters(plan, {"named": {"a": "x\ny"}})
