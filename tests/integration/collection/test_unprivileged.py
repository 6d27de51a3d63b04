"""A user without rights of any kind runs servers too: no system users, the same supervisor, the newer Redis."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.collection.conftest import PROGRAMS, Host, bundled_redis, ended, make_directory

PYTHON = "/usr/bin/python3"


@pytest.fixture
def nobodys_host():
    """This machine as `nobody` may prepare it, with a Python that nobody can reach."""
    if os.geteuid() != 0:
        pytest.skip("not root: all other tests of this folder are run by an unprivileged user already")
    nobody = pwd.getpwnam("nobody")
    run_as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    directory = make_directory()
    programs = directory / "programs"
    programs.mkdir(mode=0o755)
    # The redis library wants it below Python 3.11.3, for asyncio, which is not used.
    (programs / "async_timeout.py").write_text("timeout = None\n")
    packages = f"{next(PROGRAMS.parent.glob('lib/python*/site-packages'))}:{programs}"
    (programs / "supervisord").write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {PYTHON} -m supervisor.supervisord "$@"\n')
    (programs / "supervisord").chmod(0o755)
    settings = {"redis_server_binary": bundled_redis(), "host_instance_supervisor_bin_directory": str(programs)}
    environment = {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1", "ANSIBLE_REMOTE_TEMP": str(directory / "tmp")}
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    host = Host(directory, settings, (PYTHON, "-m", "ansible", "playbook"), environment, run_as)
    try:
        if not is_able(packages, run_as):
            pytest.skip(f"{PYTHON} cannot stand in for a Python that user nobody cannot reach")
        yield host
    finally:
        host.remove()


def is_able(packages, run_as):
    """The system's Python is of our version, and nobody may read our libraries."""
    probe = "import sys, ansible, redis, supervisor; assert sys.version_info[:2] == tuple(map(int, sys.argv[1:]))"
    command = [PYTHON, "-c", probe, *map(str, sys.version_info[:2])]
    environment = {"PYTHONPATH": packages}
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, check=False, **run_as).returncode == 0


def test_unprivileged_user_provisions_binds_and_deprovisions(nobodys_host):
    """The whole life of an instance, without a right that nobody has not."""
    prepared = nobodys_host.prepare()
    assert prepared.code == 0, prepared.text
    instance = nobodys_host.instance()
    binding = instance.binding()
    provisioned = instance.play("provision")
    assert provisioned.code == 0, provisioned.text
    again = instance.play("provision")
    assert (again.code, again.changed) == (0, 0), again.text
    assert not instance.has_user()
    with instance.client(binding["username"], binding["password"]) as client:
        assert client.set("a", "1")
    server = instance.pid()
    assert Path(f"/proc/{server}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    neighbour = nobodys_host.instance()
    neighbour.port = instance.port
    refused = neighbour.play("provision")
    assert f"port {instance.port} is taken: redis-server with process id {server} listens on it" in refused.text
    assert instance.play("deprovision").code == 0
    assert ended(server)
    assert not instance.home.exists()
