"""A run is the same whether its ansible-playbook is forked from the warm process or executed: events, exit status, outcome."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EVENTS = Path(__file__).with_name("events.py")
LEFT_OUT = {"uuid", "parent_uuid", "created", "pid", "start", "end", "delta", "duration", "task_uuid", "play_uuid", "playbook_uuid"}
VAULTED = "$ANSIBLE_VAULT;1.1;AES256\n" + "".join(f"          {'3' * 80}\n" for _ in range(4))

PLAYS = {
    "ok": """
- name: Publish
  apb.catalog.publish: {outputs: {a: 1}, credentials: {password: "{{ apb_binding.password }}"}}
- name: Say {{ item }}
  ansible.builtin.command: echo {{ item }}
  loop: [a, b]
- name: Write
  ansible.builtin.copy: {content: "{{ apb_binding.username }}", dest: "{{ directory }}/written"}
""",
    "failed": "- {name: Stop, ansible.builtin.fail: {msg: enough}}\n- {name: Never, ansible.builtin.debug: {}}",
    "unreachable": "- {name: Reach, ansible.builtin.ping: {}}",
    "syntax error": "- {name: What, nosuchmodule: {}, whn: true}",
    "undefined variable": "- {name: Use, ansible.builtin.debug: {msg: '{{ nope }}'}}",
    "bad arguments": "- {name: Ours, apb.catalog.publish: {nonsense: 1}, ignore_errors: true}\n"
    "- {name: Theirs, ansible.builtin.file: {pth: /x}}",
    "no_log failure": "- {name: Hide, ansible.builtin.command: 'false', no_log: true}",
    "check mode": "- {name: Write, ansible.builtin.copy: {content: x, dest: '{{ directory }}/checked'}, check_mode: true}\n"
    "- {name: Skipped, ansible.builtin.command: 'true', check_mode: true}",
    "missing vault secret": f"- name: Open\n  vars:\n    hidden: !vault |\n          {VAULTED}"
    "  ansible.builtin.debug: {msg: '{{ hidden }}'}",
}
EXPECTED = {"ok": (0, "succeeded"), "check mode": (0, "succeeded"), "unreachable": (4, "failed"), "syntax error": (4, "failed")}
HOSTS = {"far": {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}}


@pytest.mark.parametrize("kind", PLAYS)
def test_warm_run_has_each_event_code_and_result_of_a_cold_one(kind, tmp_path):
    """Compared without ids, times and process numbers, and in the same directory: nothing else may differ."""
    if kind == "unreachable" and shutil.which("ssh") is None:
        pytest.skip("no ssh on this machine")
    playbook = tmp_path / "play.yml"
    tasks = "".join(f"    {line}\n" for line in PLAYS[kind].strip().splitlines())
    hosts = "far" if kind == "unreachable" else "localhost"
    playbook.write_text(f"- hosts: {hosts}\n  gather_facts: false\n  vars: {{directory: {tmp_path}/run}}\n  tasks:\n{tasks}")
    (warm,), (cold,) = (told(executor, playbook, tmp_path / "run") for executor in ("warm", "cold"))
    assert (cold["code"], cold["outcome"]["status"]) == EXPECTED.get(kind, (2, "failed"))
    assert warm["outcome"] == cold["outcome"]
    assert warm["code"] == cold["code"]
    assert [event["event"] for event in warm["events"]] == [event["event"] for event in cold["events"]]
    for ours, theirs in zip(warm["events"], cold["events"], strict=True):
        assert ours == theirs
    assert len(cold["events"]) >= (1 if kind == "syntax error" else 5)


def test_second_fork_knows_nothing_of_the_first(tmp_path):
    """The same run twice from one warm process tells the same, under ids of its own."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - {name: Use, ansible.builtin.debug: {msg: '{{ nope }}'}}\n"
    )
    first, second = told("warm", playbook, tmp_path / "run", runs=2, raw=True)
    assert without_ids(first) == without_ids(second)
    ids, others = ({event["event_data"].get("task_uuid") for event in run["events"]} - {None} for run in (first, second))
    assert ids
    assert not ids & others


def told(executor, playbook, directory, runs=1, raw=False):
    """All that each run tells, without what no two runs have in common."""
    job = {"operation_id": "op", "epoch": 1, "action": "bind", "playbook": str(playbook), "inventory": {"hosts": HOSTS}}
    job["variables"] = {"apb_binding": {"username": "{{ u }}", "password": "p-canary"}}
    command = [sys.executable, EVENTS, executor, directory, str(runs)]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return found if raw else without_ids(found)


def without_ids(value):
    if isinstance(value, dict):
        return {key: "…" if key == "sealed" else without_ids(item) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        return [without_ids(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"ansible-(?:tmp|local)-[\w.-]+|\.?tmp\w{8}|^\.\w{8}$", "…", value)
    return value
