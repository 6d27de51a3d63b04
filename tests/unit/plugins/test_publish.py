"""What may be published, and that errors about it hold no values."""

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.apb.catalog.plugins.action import publish
from ansible_collections.apb.catalog.plugins.module_utils import sealed_results


def test_publish_takes_what_the_contract_names():
    """None means not given, as with `default(none)`."""
    assert publish.check({"credentials": {"a": 1}, "connection": None, "dashboard_url": "https://x"}) == {
        "credentials": {"a": 1},
        "dashboard_url": "https://x",
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"credential": {"password": "s3cret"}}, "does not know credential"),
        ({"credentials": "s3cret"}, "credentials to be published has to be a dictionary"),
        ({"dashboard_url": {"x": "s3cret"}}, "dashboard_url to be published has to be a string"),
        ({}, "needs at least one"),
    ],
)
def test_publish_refuses_the_rest_without_telling_values(given, told):
    """Also errors under no_log reach people."""
    with pytest.raises(AnsibleActionFail, match=told) as refused:
        publish.check(given)
    assert "s3cret" not in str(refused.value)


def test_publish_seals_what_a_run_with_a_key_publishes():
    """Whatever carries the statistics sees no value; the key's owner does. Without a key they travel as they are."""
    values = {"credentials": {"password": "canary", "port": 21000}}
    key = sealed_results.new_key()
    travelling = publish.sealed(values, key, "task-1")
    assert "canary" not in str(travelling)
    assert sealed_results.unseal(travelling["sealed"]["task-1"], key) == values
    assert publish.sealed(values, None, "task-1") == values
