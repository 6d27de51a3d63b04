"""service.yml: whatever does not make sense is refused with its place and a cure before a tenant can meet it."""

import json
import subprocess
import sys

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import service


def changed(description, path, value):
    """The description with one value put at a dotted path."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place = description
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    place[last] = value
    return description


BROKEN = [
    ("colour", "red", "colour: is unknown; allowed: apb, bind,"),
    ("catgory", "other", "catgory: is unknown; did you mean 'category'?"),
    ("plans/0/tenency", "shared", "plans[0].tenency: is unknown; did you mean 'tenancy'?"),
    ("parameters/size/maximun", 3, "parameters.size.maximun: is unknown; did you mean 'maximum'?"),
    ("plans/0/needs", {"memory": 1}, "plans[0].needs.memory: is unknown; did you mean 'memory_gb'?"),
    ("metadata", {"displayname": "x"}, "metadata.displayname: is unknown; did you mean 'displayName'?"),
    ("bind", {"parameter": {}}, "bind.parameter: is unknown; did you mean 'parameters'?"),
    ("secrets", {"root": {"from": "size"}}, "secrets.root.from: is unknown; allowed: parameter"),
    ("apb", 2, "apb: 2 is not 1"),
    ("name", "My Box", 'name: "My Box" does not match the pattern'),
    ("id", "box", 'id: "box" does not match the pattern'),
    ("category", "toys", 'category: "toys" is not one of "storage"'),
    ("description", {"zh": "x"}, "description.en: is missing"),
    ("plans", [], "plans: [] has fewer than 1 entries"),
    ("plans/0/parameters/size", {"maximum": 11}, "plans[0].parameters.size.maximum: 11 is above the service's 10; a plan may only narrow"),
    ("plans/0/parameters/size", {"minimum": 0}, "plans[0].parameters.size.minimum: 0 is below the service's 1; a plan may only narrow"),
    ("plans/0/parameters/size", {"x-unlimited": True}, "plans[0].parameters.size.x-unlimited: is not true for the service"),
    ("plans/0/parameters/size", {"maximum": 1}, "plans[0].parameters.size.default: 2 is above the maximum of 1 GB"),
    ("plans/0/parameters/size", {"type": "string"}, "plans[0].parameters.size.type: is unknown"),
    ("plans/0/parameters/sise", {}, "plans[0].parameters.sise: is not a parameter of the service; did you mean 'size'?"),
    ("plans/0/set", {"size": 2}, "plans[0].set.size: the plan both sets this parameter and takes it from tenants"),
    ("plans/0/set", {"depth": 2}, "plans[0].set.depth: is not a parameter of the service; it has size"),
    ("plans/0/updates_to", ["large"], "plans[0].updates_to: large is not a plan of this service; it has small"),
    ("plans/0/secrets", ["root"], "plans[0].secrets: root is not a secret of the service; it has none"),
    ("plans/0/credentials", {"type": "strnig"}, "plans[0].credentials"),
    ("plans/0/connection", {"depth": "{{ parameters.depth }}"}, "plans[0].connection: 'parameters.depth'"),
    ("plans/0/connection", {"key": "{{ instance.secrets.key }}"}, "plans[0].connection: 'instance.secrets' cannot be read"),
    ("plans/0/dashboard_url", "http://{{ instance.secrets.key }}", "plans[0].dashboard_url: 'instance.secrets' cannot be read"),
    ("dashboard_url", "http://{{ parameters.depth }}", "plans[0].dashboard_url: 'parameters.depth'"),
    ("plans/0/maintenance", {"version": "1"}, 'plans[0].maintenance.version: "1" does not match the pattern'),
    ("parameters/size/default", 11, "parameters.size.default: 11 is above the maximum of 10 GB"),
    ("parameters/size/multipleOf", 0, "parameters.size.multipleOf: 0 is not above 0"),
    ("parameters/depth", {"type": "number"}, "parameters.depth: is a number without a minimum"),
    ("parameters/depth", {"type": "string", "pattern": "["}, "parameters.depth.pattern:"),
    (
        "parameters/key",
        {"type": "string", "x-sensitive": True, "default": "x"},
        "parameters.key.default: a sensitive parameter cannot have",
    ),
    (
        "parameters/map",
        {"type": "object", "properties": {"a": {"type": "string", "x-sensitive": True}}},
        "properties.a.x-sensitive: is unknown",
    ),
    ("parameters/depth", {"type": "string", "$ref": "http://example.com"}, "parameters.depth.$ref: is unknown"),
    ("plans/0/needs", {"memory_gb": "{{ parameters.size"}, "plans[0].needs: '{{ parameters.size' is not a valid expression"),
    ("plans/0/needs", {"memory_gb": "{{ parameters.sise }}"}, "plans[0].needs: 'parameters.sise': is not a parameter of the service"),
    ("plans/0/needs", {"memory_gb": "{{ instance.host }}"}, "plans[0].needs: 'instance' is unknown in an expression; allowed: parameters"),
    ("connection", {"x": "{{ instance.secrets.root }}"}, "connection: 'instance.secrets' cannot be read; allowed: host"),
    ("connection", {"x": "{{ lookup('pipe', 'id') }}"}, "connection: 'lookup' is unknown in an expression"),
    ("connection", {"x": "{{ 1 | shell }}"}, "connection: '{{ 1 | shell }}' is not a valid expression: No filter named 'shell'"),
    ("bind", {}, "credentials: is missing"),
    ("credentials", {"type": "thing"}, "credentials.type: is not JSON Schema"),
    ("credentials", {"$ref": "http://example.com/schema"}, "credentials: has a $ref"),
    ("secrets", {"root": {"parameter": "size"}}, "secrets.root.parameter: parameter 'size' must be a string with x-sensitive: true"),
    ("examples", [{"name": "a", "plan": "large"}], "examples[0].plan: large is not a plan of this service"),
    (
        "examples",
        [{"name": "a", "plan": "small", "parameters": {"size": 11}}],
        "examples[0]: parameter 'size': 11 is above the maximum of 10 GB",
    ),
]


@pytest.mark.parametrize(("path", "value", "said"), BROKEN, ids=[said[:70] for _, _, said in BROKEN])
def test_broken_description_is_refused_with_place_and_cure(description, load, tmp_path, path, value, said):
    """The message begins with the file and the field."""
    with pytest.raises(service.ServiceError) as caught:
        load(changed(description, path, value))
    assert str(caught.value).startswith(f"{tmp_path / 'service.yml'}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "is not valid YAML: line 2, column 1: key 'a' is given twice"),
        ("1: 2\n", "key 1 is not a string: quote it"),
        ("a: [\n", "is not valid YAML: line"),
        ("a: !!python/object/apply:os.system [id]\n", "is not valid YAML"),
        ("a: .nan\n", "holds .nan or .inf"),
        ("", "null is not an object"),
        ("- a\n", "is not an object"),
    ],
)
def test_file_that_is_no_description_is_refused(load, text, said):
    """Duplicate keys, Python tags and other YAML surprises do not pass."""
    with pytest.raises(service.ServiceError) as caught:
        load(text)
    assert said in str(caught.value)


def test_missing_file_is_named(tmp_path):
    """A role without service.yml is told by path."""
    with pytest.raises(service.ServiceError, match=r"nothing\.yml: cannot be read: No such file"):
        service.load(tmp_path / "nothing.yml")


def test_same_plan_twice_is_refused(description, load):
    """Names and ids of plans are unique within a service."""
    description["plans"].append(dict(description["plans"][0]))
    with pytest.raises(service.ServiceError, match=r"plans\[1\]\.name: small is used by another plan"):
        load(description)


def test_plan_narrows_the_service(redis, plan):
    """redis takes up to 8 GB, redis-standard up to 4 GB; everything else of the parameter stays."""
    assert plan.parameters["memory"]["maximum"] == 4
    assert plan.parameters["memory"]["minimum"] == 0.1
    assert (plan.service_name, plan.role, plan.version) == ("redis", "apb.catalog.redis", "1.2.3")


def test_plan_step_must_be_a_multiple_of_the_services(description, load):
    """A step of 0.3 keeps to a step of 0.1, in decimal arithmetic; 0.25 does not."""
    description["parameters"]["size"] = {"type": "number", "minimum": 0, "multipleOf": 0.1}
    description["plans"][0]["parameters"]["size"] = {"multipleOf": 0.3}
    load(description)
    description["plans"][0]["parameters"]["size"] = {"multipleOf": 0.25}
    with pytest.raises(service.ServiceError, match=r"0\.25 is not a multiple of the service's 0\.1"):
        load(description)


def test_fixed_parameter_is_set_by_the_plan_alone(description, load):
    """`set` appears among an instance's parameters and is refused from a tenant, on update too."""
    description["parameters"]["replicas"] = {"type": "integer", "minimum": 0, "maximum": 3}
    description["plans"][0]["set"] = {"replicas": 0}
    plan = load(description).plans[0]
    made = service.create_parameters(plan, {})
    assert made == {"size": 2, "replicas": 0}
    assert service.update_parameters(plan, made, {"size": 3}) == {"size": 3, "replicas": 0}
    with pytest.raises(service.ParameterError, match="parameter 'replicas' is decided by the plan"):
        service.create_parameters(plan, {"replicas": 1})
    assert "replicas" not in service.osb_schemas(plan)["service_instance"]["create"]["parameters"]["properties"]
    assert service.redact(plan, made) == made


def test_snapshot_survives_json_and_is_enough(plan):
    """An instance goes on by its plan's snapshot alone; fields of a later version do not disturb."""
    stored = json.loads(json.dumps(plan.snapshot()))
    again = service.plan_from_snapshot({**stored, "of_a_later_version": 1})
    assert again.snapshot() == stored
    assert service.create_parameters(again, {"memory": "0.5"}) == {"memory": 0.5}
    what_counts = ("id", "name", "tenancy", "fixed", "updates_to", "needs", "connection", "late", "credentials", "secrets", "rotatable")
    assert {name: getattr(again, name) for name in what_counts} == {name: getattr(plan, name) for name in what_counts}


def test_snapshot_leaves_out_what_is_there_to_choose_by(description, load):
    """Each instance has one: what people read of a plan stays in the catalog, what a refusal is made of goes along."""
    texts = {"title": "Size", "description": "How large", "examples": [3]}
    description["parameters"]["size"] |= texts
    inner = {"type": "string", "pattern": "^[a-z]+$", "x-hint": "made of small letters"}
    description["parameters"]["title"] = {"type": "object", "properties": {"title": {"type": "array", "items": {**inner, "title": "One"}}}}
    description["plans"][0] |= {"parameters": {"size": {}, "title": {}}, "metadata": {"bullets": ["Cheap"]}}
    kept = load(description).plans[0].snapshot()
    assert not texts.keys() & kept["parameters"]["size"].keys()
    assert kept["parameters"]["size"]["x-unit"] == "GB"
    assert kept["parameters"]["title"]["properties"]["title"]["items"] == inner
    assert "metadata" not in kept


def test_snapshot_of_an_older_version_gets_defaults(plan):
    """A field that the snapshot does not have yet is no reason to strand an instance."""
    stored = plan.snapshot()
    for field in ("maintenance", "late", "bind_parameters"):
        del stored[field]
    assert service.plan_from_snapshot(stored).late == ()


def test_dates_stay_the_text_they_are_in_json(load, description):
    """An unquoted date in YAML does not become something that cannot be stored."""
    description["parameters"]["since"] = {"type": "string", "format": "date", "default": "2024-01-31"}
    description["plans"][0]["parameters"]["since"] = {}
    plan = load(description).plans[0]
    assert service.create_parameters(plan, {})["since"] == "2024-01-31"
    with pytest.raises(service.ParameterError, match="is not in the form of: date"):
        service.create_parameters(plan, {"since": "31.1.2024"})


def test_redis_examples_and_texts_are_complete(redis):
    """Tenants read every text in English and Chinese, and each example fits its plan."""
    texts = [redis.description, *(schema["description"] for schema in redis.plans[0].parameters.values())]
    assert all(service.text(text, language) for text in texts for language in ("en", "zh"))
    assert {example["plan"] for example in redis.examples} == {plan.name for plan in redis.plans}


def test_service_imports_without_ansible():
    """Modules, broker and tools import it; none of them may pay for, or be licensed by, Ansible's own code."""
    code = "import sys; from ansible_collections.apb.catalog.plugins.module_utils import service; print('ansible' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_service_needs_no_third_party_package_to_be_imported():
    """ansible-test imports every module_utils file where only Ansible's own requirements are."""
    hide = "import sys; sys.modules.update(dict.fromkeys(['jsonschema', 'jinja2', 'yaml'])); "
    code = hide + "from ansible_collections.apb.catalog.plugins.module_utils import service"
    subprocess.run([sys.executable, "-c", code], check=True)


def plans_of(description):
    """A second plan, so that plans can be told apart."""
    description["secrets"] = {"admin": {}, "tenant": {}}
    description["bind"] = {}
    description["credentials"] = {"type": "object", "required": ["host"]}
    description["connection"] = {"host": "{{ instance.host }}", "late": ["ipv4"]}
    second = {**description["plans"][0], "name": "part", "id": "00000000-0000-4000-8000-000000000003", "tenancy": "shared"}
    second |= {"secrets": ["tenant"], "connection": {"prefix": "{{ instance.names.prefix }}"}, "credentials": {"required": ["prefix"]}}
    description["plans"].append(second)
    return description


def test_plan_adds_to_the_connection_of_its_service(description, load):
    """One service, two ways to have it: what only one of them has is said there."""
    small, part = load(plans_of(description)).plans
    instance = {"host": "h", "names": service.names("box", "i")}
    assert service.connection(small, instance, {}) == {"host": "h"}
    assert service.connection(part, instance, {}) == {"host": "h", "prefix": service.slug("box", "i") + ":"}


def test_plan_needs_only_the_secrets_it_names(description, load):
    """No passwords are made that nothing uses."""
    small, part = load(plans_of(description)).plans
    assert set(service.secrets(small, {})) == {"admin", "tenant"}
    assert set(service.secrets(part, {})) == {"tenant"}


def test_plan_asks_more_of_credentials_than_its_service(description, load):
    """Both schemas have to hold, and the message names the field that is missing."""
    small, part = load(plans_of(description)).plans
    service.check_credentials(small, {"host": "h"})
    with pytest.raises(service.CredentialsError, match=r"credentials\.prefix is missing"):
        service.check_credentials(part, {"host": "h"})
    with pytest.raises(service.CredentialsError, match=r"credentials\.host is missing"):
        service.check_credentials(part, {"prefix": "p"})


def test_connection_field_published_unannounced_is_refused(description, load):
    """Tenants know beforehand what will come."""
    plan = load(plans_of(description)).plans[0]
    service.check_late(plan, {"ipv4": "192.0.2.1"})
    with pytest.raises(service.ServiceError, match="published connection field 'ipv6', which is not named there: ipv4"):
        service.check_late(plan, {"ipv6": "::1"})


def test_plan_says_otherwise_than_its_service(description, load):
    """Whether it is bound and rotated, its maintenance version, where people look at it; what it does not say is the service's."""
    own = {"bindable": False, "rotatable": False, "maintenance": {"version": "2.0.0"}, "dashboard_url": "http://{{ instance.host }}/small"}
    shared = {"rotatable": True, "maintenance": {"version": "1.0.0"}, "dashboard_url": "http://{{ instance.host }}/"}
    raw = {**plans_of(description), **shared, "bind": {"requires_app": True}, "credentials": {"type": "object"}}
    raw["plans"][0].update(own)
    small, part = load(raw).plans
    instance = {"host": "192.0.2.1"}
    said = [
        (plan.bindable, plan.rotatable, plan.maintenance["version"], service.dashboard_url(plan, instance, {}), plan.requires_app)
        for plan in (small, part)
    ]
    assert said == [(False, False, "2.0.0", "http://192.0.2.1/small", True), (True, True, "1.0.0", "http://192.0.2.1/", True)]
    assert service.dashboard_url(service.plan_from_snapshot({**part.snapshot(), "dashboard_url": ""}), instance, {}) is None


def test_plan_is_not_updated_to_one_of_another_tenancy(description, load):
    """A move that would lose the data is no update."""
    plans_of(description)["plans"][0]["updates_to"] = ["part"]
    with pytest.raises(service.ServiceError, match=r"plans\[0\].updates_to: part is shared and small dedicated"):
        load(description)
