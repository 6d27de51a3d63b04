"""Targets that name a group of an inventory get its hosts, once at start. How an inventory is read is left to whoever is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from apb_broker.catalog.config import Config, Host, HostTarget, Target
from apb_broker.catalog.errors import ConfigError

HostsOf = Callable[[Path, str], list[tuple[str, dict[str, Any]]]]


def resolved(config: Config, hosts_of: HostsOf) -> Config:
    """The configuration with the hosts of each group in its target.

    `hosts_of(inventory, group)` gives (name, variables) of each host, or raises ValueError with a sentence. Of the variables these
    count: apb_address (else ansible_host, else the name) and apb_memory_gb. Raises ConfigError.
    """
    return config.model_copy(update={"targets": {name: _target(config, target, hosts_of) for name, target in config.targets.items()}})


def _target(config: Config, target: Target, hosts_of: HostsOf) -> Target:
    if not isinstance(target, HostTarget) or target.group is None or target.inventory is None:
        return target
    try:
        found = hosts_of(target.inventory, target.group)
    except ValueError as error:
        raise ConfigError(config.path, [f"targets.{target.name}.group: {error}"]) from error
    return target.model_copy(update={"hosts": [_host(config, target, name, variables) for name, variables in found]})


def _host(config: Config, target: HostTarget, name: str, variables: dict[str, Any]) -> Host:
    address = str(variables.get("apb_address") or variables.get("ansible_host") or name)
    try:
        return Host(name=name, address=address, memory_gb=variables.get("apb_memory_gb"))
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors(include_url=False))
        cure = "set apb_address and apb_memory_gb of the host in the inventory"
        raise ConfigError(config.path, [f"targets.{target.name}.group: host {name}: {wrong}; {cure}"]) from error
