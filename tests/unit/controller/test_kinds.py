"""The eight kinds as custom resource definitions: what an API server demands of them, as far as it can be seen without one."""

import re
from pathlib import Path

import pytest
import yaml

from apb_controller import kinds
from apb_controller.kinds import published

ROOT = Path(__file__).parents[3]
DEFINITIONS = kinds.definitions()
# What kubectl and the add-ons that most clusters have answer to.
TAKEN = """
    all cm cs ep ev limits ns no pvc pv po rc quota sa svc crd crds ds deploy rs sts hpa cj csr ing netpol pdb pc sc pdbs csp csc cspc
    cv sb gtw vs dr cert certs cr issuer ksvc rt cfg rev gw httproute vsc vsclass kapp hr ks es ss ces sp psp
"""
SCALARS = {"string", "integer", "boolean"}


def spec(plural):
    return DEFINITIONS[plural]["spec"]


def schema(plural):
    return spec(plural)["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(node, path=""):
    """Every schema below one, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield from nodes(node[word], f"{path}[]")


def at(plural, path):
    node = schema(plural)
    for name in path.strip(".").split("."):
        node = node["properties"][name]
    return node


EVERYTHING = [(plural, path, node) for plural in DEFINITIONS for path, node in nodes(schema(plural))]
RULES = [(plural, path, node, rule) for plural, path, node in EVERYTHING for rule in node.get("x-kubernetes-validations", [])]


@pytest.mark.parametrize("name", sorted(published.files()))
def test_published_definition_is_current(name):
    """Regenerate with: python -m apb_controller.kinds."""
    content = (ROOT / "deploy" / "crds" / name).read_text(encoding="utf-8")
    assert content == published.files()[name]
    assert yaml.safe_load(content) == DEFINITIONS[name.removesuffix(".yaml")]


def test_nothing_else_is_published():
    """A renamed kind does not leave its old file behind."""
    assert {file.name for file in (ROOT / "deploy" / "crds").iterdir()} == set(published.files())


def test_kinds_are_upstreams_eight():
    """Plural and scope of each, as the reference lists them (§1.1)."""
    assert {plural: spec(plural)["scope"] for plural in DEFINITIONS} == {
        "clusterservicebrokers": "Cluster",
        "servicebrokers": "Namespaced",
        "clusterserviceclasses": "Cluster",
        "serviceclasses": "Namespaced",
        "clusterserviceplans": "Cluster",
        "serviceplans": "Namespaced",
        "serviceinstances": "Namespaced",
        "servicebindings": "Namespaced",
    }


@pytest.mark.parametrize(
    ("plural", "columns"),
    [
        ("clusterservicebrokers", {"URL": ".spec.url", "Status": ".status.lastConditionState"}),
        ("servicebrokers", {"URL": ".spec.url", "Status": ".status.lastConditionState"}),
        ("clusterserviceclasses", {"External-Name": ".spec.externalName", "Broker": ".spec.clusterServiceBrokerName"}),
        ("serviceclasses", {"External-Name": ".spec.externalName", "Broker": ".spec.serviceBrokerName"}),
        (
            "clusterserviceplans",
            {
                "External-Name": ".spec.externalName",
                "Broker": ".spec.clusterServiceBrokerName",
                "Class": ".spec.clusterServiceClassRef.name",
            },
        ),
        (
            "serviceplans",
            {"External-Name": ".spec.externalName", "Broker": ".spec.serviceBrokerName", "Class": ".spec.serviceClassRef.name"},
        ),
        (
            "serviceinstances",
            {"Class": ".status.userSpecifiedClassName", "Plan": ".status.userSpecifiedPlanName", "Status": ".status.lastConditionState"},
        ),
        (
            "servicebindings",
            {
                "Service-Instance": ".spec.instanceRef.name",
                "Secret-Name": ".spec.secretName",
                "Status": ".status.lastConditionState",
            },
        ),
    ],
)
def test_kind_has_upstreams_columns(plural, columns):
    """§1.1; each column shows a field that there is."""
    shown = {column["name"]: column["jsonPath"] for column in spec(plural)["versions"][0]["additionalPrinterColumns"]}
    assert shown == {**columns, "Age": ".metadata.creationTimestamp"}
    assert all(at(plural, path)["type"] == "string" for path in columns.values())


@pytest.mark.parametrize("plural", DEFINITIONS)
def test_kind_has_upstreams_envelope(plural):
    """Categories, label, sub-resource; and the annotation without which a protected group is refused."""
    metadata = DEFINITIONS[plural]["metadata"]
    assert metadata["name"] == f"{plural}.servicecatalog.k8s.io"
    assert metadata["annotations"] == {"api-approved.kubernetes.io": "unapproved"}
    assert metadata["labels"] == {"svcat": "true"}
    assert spec(plural)["names"]["categories"] == ["all", "svcat"]
    assert spec(plural)["versions"][0]["subresources"] == {"status": {}}


def test_short_names_clash_with_nothing():
    """Neither among themselves nor with what kubectl and common add-ons know; the seeds' word for an instance is among them."""
    names = [name for plural in DEFINITIONS for name in spec(plural)["names"]["shortNames"]]
    words = [word for plural in DEFINITIONS for word in (plural, spec(plural)["names"]["singular"])]
    assert len({*names, *words}) == len([*names, *words])
    assert not set(TAKEN.split()) & {*names, *words}
    assert "bsi" in spec("serviceinstances")["names"]["shortNames"]


@pytest.mark.parametrize("plural", DEFINITIONS)
def test_selectable_fields_are_scalars_of_the_spec(plural):
    """An API server takes at most 8, of fields that the schema has."""
    fields = [field["jsonPath"] for field in spec(plural)["versions"][0]["selectableFields"]]
    assert 0 < len(fields) <= 8
    assert all(path.startswith(".spec.") and at(plural, path)["type"] in SCALARS for path in fields)


@pytest.mark.parametrize("plural", DEFINITIONS)
def test_schema_is_structural(plural):
    """Every node has one type, objects and lists say what they hold, and defaults fit."""
    for path, node in nodes(schema(plural)):
        assert isinstance(node.get("type"), str), path
        assert "properties" not in node or "additionalProperties" not in node, path
        assert set(node.get("required", [])) <= set(node.get("properties", {})), path
        assert node["type"] != "array" or "items" in node, path
        if node["type"] == "object" and path != ".metadata":
            assert {"properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields"} & set(node), path
        if "default" in node:
            assert isinstance(node["default"], str) and node["type"] == "string", path
        if "pattern" in node:
            re.compile(node["pattern"])


@pytest.mark.parametrize("plural", DEFINITIONS)
def test_every_field_is_described(plural):
    """`kubectl explain` has an answer to each."""
    for path, node in nodes(schema(plural)):
        if path != ".metadata" and not path.endswith("[]"):
            assert node.get("description", "").endswith((".", ")")), path


@pytest.mark.parametrize(
    ("plural", "path"),
    [
        ("serviceinstances", ".spec.parameters"),
        ("servicebindings", ".spec.parameters"),
        ("clusterserviceclasses", ".spec.externalMetadata"),
        ("serviceplans", ".spec.instanceCreateParameterSchema"),
        ("serviceplans", ".spec.instanceUpdateParameterSchema"),
        ("serviceplans", ".spec.serviceBindingCreateParameterSchema"),
        ("serviceclasses", ".spec.defaultProvisionParameters"),
        ("serviceinstances", ".status.inProgressProperties.parameters"),
        ("servicebindings", ".status.externalProperties.parameters"),
    ],
)
def test_free_form_field_keeps_what_is_in_it(plural, path):
    """§1.1: a structural schema prunes unknown fields, these must not lose any."""
    assert at(plural, path)["x-kubernetes-preserve-unknown-fields"] is True


@pytest.mark.parametrize(("plural", "path", "node", "rule"), RULES, ids=lambda value: value if isinstance(value, str) else "")
def test_rule_speaks_of_fields_that_there_are(plural, path, node, rule):
    """A rule that names an unknown field makes an API server refuse the whole definition; so do unbalanced brackets."""
    for chain in re.findall(r"\b(?:self|oldSelf)((?:\.[A-Za-z_]+)+)(?!\w*\()", rule["rule"]):
        found = node
        for name in chain.strip(".").split("."):
            name = name.strip("_") if name.startswith("__") else name
            if (path, name) == ("", "metadata"):
                break
            assert name in found["properties"], f"{path}: {rule['rule']}"
            found = found["properties"][name]
            assert not found.get("nullable"), f"{path}: {name} may be null, which a comparison does not expect"
    plain = re.sub(r"'[^']*'", "", rule["rule"])
    assert all(plain.count(opening) == plain.count(closing) for opening, closing in ("()", "[]"))
    assert rule["message"]


def test_texts_and_lists_that_rules_compare_are_bounded():
    """An API server refuses a rule whose cost it cannot bound."""
    for plural, path, node in EVERYTHING:
        if node["type"] == "array" and any("x-kubernetes-validations" in child for _, child in nodes(node["items"])):
            assert "maxItems" in node, f"{plural}{path}"


@pytest.mark.parametrize(
    ("plural", "message"),
    [
        ("serviceinstances", "instances can only refer to a cluster or namespaced class or plan type, but not both"),
        ("serviceinstances", "plan references must have a class reference set"),
        (
            "serviceinstances",
            "exactly one of clusterServiceClassExternalName, clusterServiceClassExternalID, or clusterServiceClassName required",
        ),
        ("serviceinstances", "must specify servicePlanExternalID with serviceClassExternalID"),
        ("serviceinstances", "new updateRequests value must not be less than the old one"),
        ("serviceinstances", "source must not be empty if present"),
        ("serviceinstances", "key is required"),
        ("serviceinstances", "field is immutable"),
        ("servicebindings", "name is required"),
        ("servicebindings", "field is immutable"),
        ("clusterservicebrokers", "brokers must have a remote url to contact"),
        ("clusterservicebrokers", "caBundle cannot be used when insecureSkipTLSVerify is true"),
        ("servicebrokers", 'relist behavior must be "Manual" or "Duration"'),
        ("servicebrokers", "RelistRequests must be strictly increasing"),
        ("servicebrokers", "relistDuration must be greater than zero"),
        ("servicebrokers", "auth config is required"),
        ("servicebrokers", "a basic auth secret is required"),
        ("clusterserviceclasses", "externalID is required"),
        ("serviceclasses", "externalID cannot change when updating a ServiceClass"),
        ("clusterserviceclasses", "clusterServiceBrokerName is required"),
        ("clusterserviceplans", "an owning serviceclass is required"),
    ],
)
def test_upstreams_sentence_is_said_by_the_api_server(plural, message):
    """§2.7, validation strings."""
    assert message in {rule["message"] for kind, _, _, rule in RULES if kind == plural}
