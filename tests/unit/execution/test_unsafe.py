"""Tenants' values are wrapped at every depth, and what Ansible's reader would misread is refused."""

import json

import pytest
import yaml

from apb_broker.execution import unsafe


def test_wrap_marks_every_string_at_any_depth():
    """Strings in lists and mappings too; keys, numbers and nothing stay."""
    value = {"a": "x", "b": [1, "y", {"c": None, "d": True, "e": "z"}], "f": 1.5}
    u = "__ansible_unsafe"
    assert unsafe.wrap(value) == {"a": {u: "x"}, "b": [1, {u: "y"}, {"c": None, "d": True, "e": {u: "z"}}], "f": 1.5}


@pytest.mark.parametrize(
    "variables",
    [
        {"a": {"__ansible_unsafe": "x"}},
        {"a": [{"b": {"__ansible_vault": "x"}}]},
        {"__ansible_x": 1},
        {"ansible_connection": "ssh"},
        {"not a name": 1},
        {"a": {1: "x"}},
        {"a": object()},
        {"a": "\ud800"},
        {"a": {"\ud800": 1}},
    ],
)
def test_check_refuses_what_ansible_would_misread(variables):
    """Keys of Ansible's own, names that steer connections, and what is no JSON text."""
    with pytest.raises(unsafe.UnsafeError):
        unsafe.check(variables)


def test_check_refuses_endless_nesting():
    """A reader that gives up at some depth falls back to one that trusts."""
    value = "x"
    for _ in range(unsafe.MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(unsafe.UnsafeError, match="nested"):
        unsafe.check({"a": value})


def test_extravars_can_be_read_as_json_only():
    """Ansible reads as YAML, without the marks, what it cannot read as JSON; this text is no YAML."""
    text = unsafe.extravars({"redis_a": "{{ 1 }}", "apb_b": "setting"}, {"apb_b": "x"})
    assert json.loads(text) == {"redis_a": "{{ 1 }}", "apb_b": {"__ansible_unsafe": "x"}}
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(text)


def test_extravars_refuse_what_is_no_number():
    """NaN is no JSON."""
    with pytest.raises(ValueError, match="JSON"):
        unsafe.extravars({}, {"a": float("nan")})
