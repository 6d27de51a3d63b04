"""Hosts of a group as Ansible's own reader gives them; the program really runs."""

import pytest

from apb_broker.execution import inventories

INVENTORY = """\
all:
  hosts: {lone: {}}
  children:
    caches:
      hosts:
        b: {ansible_host: 10.0.0.2, apb_memory_gb: 4, ansible_become_password: canary}
        a: {apb_address: a.example, other: x}
      children:
        more:
          hosts: {c: , b: }
      vars: {ansible_password: !vault "$ANSIBLE_VAULT;1.1;AES256\\n3131"}
    empty: {}
"""


@pytest.fixture
def inventory(tmp_path):
    """A file with groups in groups, a vaulted password that nobody can open, and a host of its own."""
    path = tmp_path / "hosts.yml"
    path.write_text(INVENTORY)
    return path


def test_hosts_of_a_group_come_in_order_with_nothing_but_what_is_asked_for(inventory):
    """Groups in the group count, each host once; secrets stay where they are, and no vault password is needed."""
    assert inventories.hosts_of(inventory, "caches") == [
        ("b", {"ansible_host": "10.0.0.2", "apb_memory_gb": 4}),
        ("a", {"apb_address": "a.example"}),
        ("c", {}),
    ]


def test_hosts_of_a_directory_know_its_group_vars(inventory, tmp_path):
    """Inventories in several files are read as a whole."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "more.yml").write_text("apb_memory_gb: 16\n")
    assert dict(inventories.hosts_of(tmp_path, "more")) == {
        "c": {"apb_memory_gb": 16},
        "b": {"ansible_host": "10.0.0.2", "apb_memory_gb": 4},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (INVENTORY, r"has no hosts in a group 'web'; groups with hosts: caches, more, ungrouped"),
        ("web: {}\n", r"has no hosts in a group .web.; groups with hosts: none"),
        ("web: [\n", r"cannot be read: YAML parsing failed: .* \(/.*hosts\.yml:2:1\)"),
        ("web: {hosts: {a: {apb_address: '{{ x }}'}}}\n", r"apb_address of host a has to be a plain value"),
    ],
)
def test_hosts_that_cannot_be_told_are_an_error_with_a_reason(inventory, text, sentence):
    """Whatever is wrong, one sentence names the file and what to do."""
    inventory.write_text(text)
    with pytest.raises(inventories.InventoryError, match=sentence) as raised:
        inventories.hosts_of(inventory, "web")
    assert str(inventory) in str(raised.value)


def test_hosts_of_a_missing_inventory_are_an_error(tmp_path):
    """A name that is no file is not taken for a list of hosts."""
    with pytest.raises(inventories.InventoryError, match="does not exist"):
        inventories.hosts_of(tmp_path / "hosts", "web")


def test_inventory_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    """A dynamic inventory may ask a service that does not answer."""
    script = tmp_path / "hosts"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setattr(inventories, "PATIENCE_SECONDS", 2.0)
    with pytest.raises(inventories.InventoryError, match="not read within 2 s"):
        inventories.hosts_of(script, "web")
