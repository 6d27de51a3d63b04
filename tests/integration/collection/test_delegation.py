"""bind, unbind and verify run on the controller; what they delegate to the instance's host really goes there."""

import json
import os
import socket
import subprocess
import sys

import pytest

from apb_broker.authoring import scaffold


@pytest.mark.parametrize("action", ["bind", "unbind", "verify"])
def test_delegated_task_goes_to_the_host(tmp_path, action):
    """A host whose ssh port is closed is unreachable; the same path on the controller is not looked at instead."""
    role = scaffold.make("hello", services_path=tmp_path).role
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = closed.getsockname()[1]
        inventory = {
            "all": {"hosts": {"far": {"ansible_host": "127.0.0.1", "ansible_port": port, "ansible_python_interpreter": "python3"}}}
        }
        (tmp_path / "hosts.json").write_text(json.dumps(inventory))
        variables = {
            "apb_mode": "host",
            "apb_role": str(role),
            "apb_parameters": {"greeting": "hello"},
            "apb_instance": {"host": "192.0.2.1", "names": {"slug": "hello-1"}, "placement": {"host": "far", "directory": str(tmp_path)}},
            "apb_binding": {"username": "b1", "password": "a secret", "parameters": {}},
        }
        (tmp_path / "variables.json").write_text(json.dumps(variables))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.json", "-e", "@variables.json", f"apb.catalog.{action}"]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "localhost -> far" in done.stdout
