"""A service of the operator's own: a role in a folder of services_path, offered by naming it in apb.yml."""

from pathlib import Path

import yaml

from tests.e2e.machine import machine

SERVICE = """\
apb: 1
name: hello
id: 0b0c4ef6-6a0f-4d0c-9f59-1f0d8a2b9a01
category: coordination
type: hello
description: A file that greets
parameters:
  greeting: {type: string, default: hello, maxLength: 40, x-updatable: true}
plans:
  - name: standard
    id: 0b0c4ef6-6a0f-4d0c-9f59-1f0d8a2b9a02
    description: One file
    tenancy: dedicated
    parameters: {greeting: {}}
    needs: {memory_gb: 0, ports: []}
connection: {host: "{{ instance.host }}"}
credentials:
  type: object
  required: [username, password, greeting]
  additionalProperties: false
  properties: {username: {type: string}, password: {type: string}, greeting: {type: string}}
maintenance: {version: 1.0.0}
"""

WRITE = """\
- name: Write the file
  ansible.builtin.copy:
    content: "{{ apb_parameters.greeting }}"
    dest: "{{ hello_directory }}/{{ apb_instance.names.slug }}"
    mode: "0600"
"""

REMOVE = """\
- name: Remove the file
  ansible.builtin.file: {path: "{{ hello_directory }}/{{ apb_instance.names.slug }}", state: absent}
"""

BIND = """\
- name: Hand over the credentials
  apb.catalog.publish:
    credentials:
      username: "{{ apb_binding.username }}"
      password: "{{ apb_binding.password }}"
      greeting: "{{ lookup('ansible.builtin.file', hello_directory ~ '/' ~ apb_instance.names.slug) }}"
  no_log: true
"""

NOTHING = "- name: Nothing is left to do\n  ansible.builtin.meta: noop\n"


def write_role(role: Path) -> None:
    """The files of docs/writing-a-service.md, as short as they get."""
    tasks = {
        "host/provision": WRITE,
        "host/update": WRITE,
        "host/deprovision": REMOVE,
        "host/prepare": NOTHING,
        "bind": BIND,
        "unbind": NOTHING,
        "verify": NOTHING,
    }
    for name, text in {"meta/service": SERVICE, **{f"tasks/{name}": text for name, text in tasks.items()}}.items():
        path = role / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_local_role_is_offered_provisioned_and_bound(tmp_path: Path) -> None:
    """The operator's settings reach the role; tenants' values stay text; an update is seen by the next binding."""
    write_role(tmp_path / "services" / "hello")
    with machine() as made:
        made.start()
        made.stop()
        config = yaml.safe_load((made.state / "apb.yml").read_text())
        config["services_path"] = [str(tmp_path / "services")]
        config["roles"].append({"name": "hello", "settings": {"hello_directory": str(tmp_path)}})
        config["offers"].append({"plan": "hello/standard", "mode": "host", "targets": ["local"]})
        (made.state / "apb.yml").write_text(yaml.safe_dump(config))
        made.start()
        assert made.apb("provision", "hello", "standard", "mine", "-p", "greeting={{ 1 + 1 }}")["connection"] == {"host": "127.0.0.1"}
        assert made.apb("bind", "mine", "one")["credentials"]["greeting"] == "{{ 1 + 1 }}"
        made.apb("update", "mine", "-p", "greeting=bye")
        assert made.apb("bind", "mine", "two")["credentials"]["greeting"] == "bye"
        assert (tmp_path / made.slug("mine")).exists()
        made.apb("deprovision", "mine", "--yes")
        assert not list(tmp_path.glob("hello-*"))
        made.stop()
