"""The branch for hosts that systemd runs: its unit as systemd reads it, and the real thing where that can be."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integration.collection.conftest import PROGRAMS, ROOT, await_true

TEMPLATE = ROOT / "roles" / "host_instance" / "templates" / "instance.service.j2"


def render(directory, **variables):
    unit = directory / "apb-redis-1.service"
    known = yaml.safe_load((ROOT / "roles" / "host_instance" / "defaults" / "main.yml").read_text())
    given = {
        **known,
        "host_instance_command": ["/bin/echo", "a b", "100%", "$HOME", 'say "x" \\'],
        "host_instance_description": "Redis redis-1 (100%\nUser=root)",
        "host_instance_environment": {"GREETING": 'a "b" %'},
        "host_instance_home": {"path": str(directory), "user": "daemon"},
        "_host_instance_slug": "redis-1",
        **variables,
    }
    playbook = directory / "render.yml"
    task = {"name": "Render", "ansible.builtin.template": {"src": str(TEMPLATE), "dest": str(unit), "mode": "0644"}}
    playbook.write_text(yaml.safe_dump([{"name": "Render", "hosts": "localhost", "gather_facts": False, "vars": given, "tasks": [task]}]))
    done = subprocess.run([PROGRAMS / "ansible-playbook", playbook], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return unit


def test_unit_is_understood_by_systemd(tmp_path):
    """systemd-analyze finds nothing wrong or unknown in it."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine: the unit is not checked by systemd itself")
    unit = render(tmp_path)
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert str(unit.name) not in done.stdout + done.stderr, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_unit_keeps_arguments_and_cannot_be_extended_by_names(tmp_path):
    """Arguments are quoted as systemd unquotes them; a name with a line end adds no line."""
    lines = render(tmp_path).read_text().splitlines()
    assert r'ExecStart="/bin/echo" "a b" "100%%" "$$HOME" "say \"x\" \\"' in lines
    assert r'Environment="GREETING=a \"b\" %%"' in lines
    assert [line for line in lines if line.startswith("User=")] == ["User=daemon"]


def test_server_runs_under_systemd(managed_host):
    """Provision, crash, deprovision with systemd as the supervisor."""
    if not Path("/run/systemd/system").is_dir() or os.geteuid() != 0:
        pytest.skip("no systemd as PID 1 (or not root): the systemd branch is not run here")
    instance = managed_host.instance()
    assert instance.play("provision").code == 0
    assert instance.play("provision").changed == 0
    unit = f"apb-{instance.slug}.service"
    subprocess.run(["systemctl", "kill", "--signal=KILL", unit], check=True)
    await_true(instance.is_listening)
    assert instance.play("deprovision").code == 0
    assert not Path("/etc/systemd/system", unit).exists()
    assert not instance.has_user()
