"""Schemas as platforms see them (OSB 2.17, "Schemas Object")."""

import json

import jsonschema
import pytest
from ansible_collections.apb.catalog.plugins.module_utils import service


def all_schemas(plan):
    found = service.osb_schemas(plan)
    return [
        found["service_instance"]["create"]["parameters"],
        found["service_instance"]["update"]["parameters"],
        found["service_binding"]["create"]["parameters"],
    ]


def test_schemas_keep_the_specs_rules(plan):
    """OSB: $schema present, no external references, at most 64 kB; and they are valid JSON Schema."""
    for schema in all_schemas(plan):
        assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
        assert "$ref" not in json.dumps(schema)
        assert len(json.dumps(schema).encode()) < 64 * 1024
        jsonschema.Draft7Validator.check_schema(schema)


def test_published_schema_accepts_what_the_broker_accepts(plan):
    """Also in a validator that divides binary floats: 0.3 must not be refused before the broker sees it."""
    validator = jsonschema.Draft7Validator(all_schemas(plan)[0])
    for tenth in range(1, 41):
        validator.validate({"memory": tenth / 10})
    assert not validator.is_valid({"memory": 4.1})
    assert not validator.is_valid({"memory": 0})
    assert not validator.is_valid({"colour": "red"})


def test_update_schema_holds_only_what_may_change(plan):
    """And no defaults: a form must not reset what a tenant leaves out."""
    properties = all_schemas(plan)[1]["properties"]
    assert set(properties) == {"memory"}
    assert "default" not in properties["memory"]


def test_texts_are_in_one_language(plan):
    """Platforms get plain strings, English unless asked."""
    memory = service.osb_schemas(plan)["service_instance"]["create"]["parameters"]["properties"]["memory"]
    assert memory["title"] == "Memory"
    chinese = service.osb_schemas(plan, "zh")["service_instance"]["create"]["parameters"]["properties"]["memory"]
    assert chinese["title"] == "内存"


def test_sensitive_parameter_is_write_only(plan):
    """A form can hide it."""
    assert all_schemas(plan)[0]["properties"]["password"]["writeOnly"] is True


@pytest.mark.parametrize("value", [-1, 10, 100])
def test_unlimited_is_published_as_an_alternative(plan_with, value):
    """-1 passes a platform's validator although the minimum is 10; 5 does not."""
    plan = plan_with(ttl={"type": "integer", "minimum": 10, "maximum": 100, "x-unlimited": True, "x-required": True})
    schema = service.osb_schemas(plan)["service_instance"]["create"]["parameters"]
    validator = jsonschema.Draft7Validator(schema)
    assert validator.is_valid({"ttl": value})
    assert not validator.is_valid({"ttl": 5})
    assert not validator.is_valid({})


def test_service_without_bind_has_no_binding_schema(plan_with):
    """OSB: service_binding is there only for what can be bound."""
    assert "service_binding" not in service.osb_schemas(plan_with(tag={"type": "string"}))


def test_customize_lists_the_numbers_a_tenant_may_choose(redis, plan_with):
    """{key: {default, max, price, unit, step, desc}}, as older platforms draw their forms from."""
    memory = service.customize(redis.plan("redis-standard"), "zh")["memory"]
    assert {key: memory[key] for key in ("default", "max", "price", "unit", "step")} == {
        "default": 1,
        "max": 4,
        "price": 0,
        "unit": "GB",
        "step": 0.1,
    }
    assert memory["desc"].startswith("数据可用内存")
    assert set(service.customize(redis.plan("redis-standard"))) == {"memory"}
    plan = plan_with(keep={"type": "integer", "x-unlimited": True, "minimum": 1, "default": 7, "x-unit": "days", "x-price": 10})
    assert service.customize(plan) == {"keep": {"default": 7, "max": -1, "price": 10, "unit": "days", "step": 1, "desc": ""}}
