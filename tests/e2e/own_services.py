"""Services of the operator's own: how `apb.yml` comes to offer one, and one whole round of what tenants do with it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from tests.e2e.machine import APB, Machine

REFUSED = 3


def author(*words: str, cwd: Path, code: int = 0) -> str:
    """A command of somebody who writes a service, which has to end with this code; all it said."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def init(*words: str, cwd: Path) -> str:
    """`apb init`."""
    return author(*APB, "init", *words, cwd=cwd)


def offer(made: Machine, role: dict[str, Any], plans: list[str], **more: Any) -> None:
    """The first configuration of the machine, with a role besides the shipped ones."""
    state = StateDirectory(made.state)
    configuration.first_configuration(state, made.listen, made.ports)
    config = yaml.safe_load(state.config_file.read_text())
    config["roles"].append(role)
    config["offers"] += [{"plan": plan, "mode": "host", "targets": ["local"]} for plan in plans]
    state.config_file.write_text(yaml.safe_dump({**config, **more}))


def shared_target(state: Path, name: str, server: Any, module: Any) -> dict[str, Any]:
    """The target that such a server is."""
    file = state / f"{name}.password"
    file.touch(0o600)
    file.write_text(module.ADMIN_PASSWORD + "\n")
    return {"mode": "shared", "address": "127.0.0.1", "port": server.port, "username": module.ADMIN, "password_file": file.name}


def examples(role: Path) -> list[dict[str, Any]]:
    """What the role's own service.yml shows."""
    return list(yaml.safe_load((role / "meta" / "service.yml").read_text())["examples"])


def given(parameters: dict[str, Any]) -> list[str]:
    """Parameters as words of a command."""
    return [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]


def use(role: Path, credentials: dict[str, Any]) -> tuple[int, str]:
    """The role's own client with these credentials: its exit code, and what it said."""
    command = [sys.executable, str(role / "tests" / "client.py")]
    done = subprocess.run(command, input=json.dumps(credentials), capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.strip()


def play_example(made: Machine, role: Path, service: str, example: dict[str, Any]) -> None:
    """One whole round of an example: ordered, bound, used, changed, unbound, refused, removed; nothing is left."""
    name = example["name"]
    made.apb("provision", service, example["plan"], name, *given(example.get("parameters", {})))
    home = made.instances / made.slug(name)
    credentials = made.apb("bind", name, "app", *given(example.get("bind", {})))["credentials"]
    assert use(role, credentials)[0] == 0
    if "update" in example:
        before = use(role, credentials)
        made.apb("update", name, *given(example["update"]))
        assert use(role, credentials) != before
        assert use(role, credentials)[0] == 0
    assert use(role, {**credentials, "password": "another"})[0] == REFUSED
    made.apb("unbind", name, "app")
    assert use(role, credentials)[0] == REFUSED
    assert home.is_dir()
    made.apb("deprovision", name, "--yes")
    assert not home.exists()
