"""What the caller of a playbook asks for, checked in itself. Whether an instance allows it is standalone_actions.py's."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.apb.catalog.plugins.module_utils import service_yaml
from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError

ACTIONS = ("provision", "update", "bind", "unbind", "deprovision", "verify")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SERVER_FIELDS = {"host": str, "port": int, "username": str, "password": str}
PORTS = "21000-21999"
DIRECTORY = "/var/lib/apb/host"


@dataclasses.dataclass(frozen=True)
class Request:
    """One action on one instance. None: not given."""

    action: str
    name: str
    role: str | None
    plan: str | None
    requested: dict
    binding: str | None
    host: str
    address: str | None
    ports: range
    directory: str
    server: dict | None


def read(given: dict) -> Request:
    """The request that these arguments make. Raises StandaloneError naming the variable, what is wrong and what is right."""
    action = given["action"]
    if action not in ACTIONS:
        raise StandaloneError(f"apb_action: {action!r} is not one of {', '.join(ACTIONS)}")
    return Request(
        action=action,
        name=_name("apb_name", given.get("name")),
        role=given.get("role") or None,
        plan=given.get("plan") or None,
        requested=_requested(given.get("requested")),
        binding=_name("apb_binding_name", given.get("binding")) if action in ("bind", "unbind") else None,
        host=given["host"],
        address=given.get("address") or None,
        ports=_ports(given.get("port_range") or PORTS),
        directory=given.get("directory") or DIRECTORY,
        server=_server(given.get("server") or None),
    )


def _name(variable: str, value) -> str:
    if not value:
        raise StandaloneError(f"{variable} is missing: add -e {variable}=NAME")
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise StandaloneError(f"{variable}: {value!r} has to be 1 to 63 of a-z, 0-9 and '-', neither beginning nor ending with '-'")
    return value


def _requested(value) -> dict:
    if isinstance(value, str) and value.startswith("@"):
        value = _of_file(value[1:])
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise StandaloneError(
            """apb_requested has to be an object of names and values: -e '{"apb_requested": {"memory": 0.5}}', """
            "or a file that holds one: -e apb_requested=@request.yml"
        )
    return value


def _of_file(path: str):
    """The file is data alone: unlike in a variables file, nothing in it is a template."""
    try:
        return service_yaml.read(path)
    except service_yaml.YamlError as error:
        raise StandaloneError(f"apb_requested: {path} {error}") from error


def _ports(value) -> range:
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", str(value))
    first, last = map(int, found.groups()) if found else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise StandaloneError(f"apb_port_range: {value!r} is not a range of ports like {PORTS}")
    return range(first, last + 1)


def _server(value) -> dict | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise StandaloneError(f"apb_server has to be an object with {', '.join(SERVER_FIELDS)}")
    if missing := [name for name in SERVER_FIELDS if not value.get(name)]:
        raise StandaloneError(f"apb_server has no {', '.join(missing)}: it says how to reach your server, and the account to use there")
    return value
