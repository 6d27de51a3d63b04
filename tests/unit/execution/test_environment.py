"""A run's environment holds what is listed, and nothing else of the worker's."""

import sys
from pathlib import Path

from apb_broker.execution import environment


def test_environment_of_run_leaves_secrets_behind():
    """Database URL, keys, proxies with passwords and Python's switches do not reach a run."""
    worker = {"DATABASE_URL": "x", "APB_KEY": "x", "AWS_SECRET": "x", "https_proxy": "x", "PYTHONPATH": "x", "ANSIBLE_VAULT_PASSWORD": "x"}
    assert set(environment.of_run(worker)) == {"PATH", "LANG", "LC_ALL", *environment.SSH_DEFAULTS}


def test_environment_of_run_leaves_ssh_to_the_operator(tmp_path):
    """What is the default for us is only one where neither the environment nor ansible.cfg says anything."""
    (tmp_path / ".ansible.cfg").write_text("[ssh_connection]\npipelining = false\n")
    made = environment.of_run({"HOME": str(tmp_path), "ANSIBLE_SSH_ARGS": "-4"})
    assert "ANSIBLE_PIPELINING" not in made
    assert made["ANSIBLE_SSH_ARGS"] == "-4"
    (tmp_path / ".ansible.cfg").write_text("no section\n")
    assert environment.of_run({"HOME": str(tmp_path)})["ANSIBLE_PIPELINING"] == "True"


def test_environment_of_run_passes_what_operators_steer_ansible_with():
    """Paths become absolute: a run has a directory of its own."""
    made = environment.of_run({"ANSIBLE_COLLECTIONS_PATH": "build:/opt/c", "SSH_AUTH_SOCK": "/a", "HOME": "/h", "ANSIBLE_CONFIG": ""})
    assert made["ANSIBLE_COLLECTIONS_PATH"] == f"{Path('build').absolute()}:/opt/c"
    assert (made["SSH_AUTH_SOCK"], made["HOME"]) == ("/a", "/h")
    assert "ANSIBLE_CONFIG" not in made


def test_environment_of_run_finds_this_installations_ansible():
    """The ansible-playbook beside this Python comes first."""
    assert environment.of_run({"PATH": "/bin"})["PATH"] == f"{Path(sys.executable).parent}:/bin"


def test_host_keys_are_checked_unless_the_operator_says_otherwise(monkeypatch):
    """ansible-runner switches the check off; only the operator may."""
    monkeypatch.delenv("ANSIBLE_HOST_KEY_CHECKING", raising=False)
    runner = {"ANSIBLE_HOST_KEY_CHECKING": "False"}
    environment.keep_host_key_checking(runner)
    assert runner == {}
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    runner = {"ANSIBLE_HOST_KEY_CHECKING": "False"}
    environment.keep_host_key_checking(runner)
    assert runner == {"ANSIBLE_HOST_KEY_CHECKING": "False"}


def test_temporary_directory_of_a_run_is_where_the_operator_wants_it(tmp_path):
    """By the environment, by ansible.cfg, or where Ansible has it; its name tells whose it is."""
    assert environment.remote_temporary({}, "redis-1", 7) == "~/.ansible/tmp/apb-redis-1/7"
    (tmp_path / ".ansible.cfg").write_text("[defaults]\nremote_tmp = /var/tmp/ansible/ ; there is room\n")
    assert environment.remote_temporary({"HOME": str(tmp_path)}, "redis-1", 7) == "/var/tmp/ansible/apb-redis-1/7"
    for name in ("ANSIBLE_REMOTE_TEMP", "ANSIBLE_REMOTE_TMP"):
        assert environment.remote_temporary({"HOME": str(tmp_path), name: "$HOME/t"}, "redis-1", 7) == "$HOME/t/apb-redis-1/7"
    assert environment.remote_temporary({"ANSIBLE_REMOTE_TEMP": "{{ ANSIBLE_HOME }}/tmp"}, "redis-1", 7) is None
