"""What an operator's inventory says about the hosts of a group, read as Ansible itself reads it; reaching them is left to runs.

Inventories may be files, directories, scripts and plug-ins, and say more than is our business: passwords stay in them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apb_broker.execution import environment

VARIABLES = ("ansible_host", "apb_address", "apb_memory_gb")  # all that is read; the rest, passwords among it, is dropped at once
PATIENCE_SECONDS = 60.0  # dynamic inventories ask services in the network

_ERROR_MARK = "[ERROR]:"


class InventoryError(ValueError):
    """The inventory cannot be read, or has no such group. The message names the inventory and the cure."""


def hosts_of(inventory: Path, group: str) -> list[tuple[str, dict[str, Any]]]:
    """The hosts of a group and of the groups in it, in the inventory's order, each with those of VARIABLES that it has.

    Raises InventoryError, also for a group without hosts.
    """
    listing = _listing(inventory.absolute())
    names = list(dict.fromkeys(_names(listing, group)))
    if not names:
        groups = ", ".join(sorted(set(listing) - {"_meta", "all"})) or "none"
        raise InventoryError(f"{inventory} has no hosts in a group '{group}'; groups with hosts: {groups}")
    return [(name, _variables(inventory, name, listing["_meta"]["hostvars"].get(name, {}))) for name in names]


def _listing(inventory: Path) -> dict[str, Any]:
    if not inventory.exists():  # Ansible would take the name for a list of hosts, or only warn
        raise InventoryError(f"{inventory} does not exist: name an Ansible inventory")
    program = Path(sys.executable).parent / "ansible-inventory"
    try:
        done = subprocess.run(  # noqa: S603 - a program of this installation, a path as one argument
            [program, "--inventory", inventory, "--list"],
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise InventoryError(
            f"{inventory} was not read within {PATIENCE_SECONDS:.0f} s: ask the same by 'ansible-inventory --list'"
        ) from None
    except OSError as error:
        raise InventoryError(f"{inventory} cannot be read: {program} does not start: {error.strerror}") from error
    if done.returncode != 0:
        raise InventoryError(f"{inventory} cannot be read: {_reason(done.stderr)}")
    listing: dict[str, Any] = json.loads(done.stdout)
    return listing


def _environment() -> dict[str, str]:
    """That of a run. What Ansible cannot read is an error: it would only warn, and go on without those hosts."""
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True", "ANSIBLE_NOCOLOR": "True", "ANSIBLE_DEPRECATION_WARNINGS": "False"}
    return {**environment.of_run(os.environ), **strict}


def _reason(said: str) -> str:
    """The first line that tells more than that it went wrong: Ansible warns of each reader's failure before it gives up."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    causes = [line for number, line in enumerate(lines) if number and lines[number - 1] == "<<< caused by >>>"]
    places = [line for line in lines if line.startswith("Origin: /")]
    if causes:
        return causes[0] + (f" ({places[0].removeprefix('Origin: ')})" if places else "")
    errors = [line.removeprefix(_ERROR_MARK).strip() for line in lines if line.startswith(_ERROR_MARK)]
    return (errors or lines[-1:] or ["no reason was given"])[0]


def _names(listing: dict[str, Any], group: str) -> Iterator[str]:
    """Groups form no circles: Ansible refuses those."""
    yield from listing.get(group, {}).get("hosts", [])
    for child in listing.get(group, {}).get("children", []):
        yield from _names(listing, child)


def _variables(inventory: Path, host: str, found: dict[str, Any]) -> dict[str, Any]:
    kept = {name: found[name] for name in VARIABLES if name in found}
    for name, value in kept.items():
        if not isinstance(value, str | int | float) or "{{" in str(value):
            raise InventoryError(f"{inventory}: {name} of host {host} has to be a plain value, neither a template nor vaulted")
    return kept
