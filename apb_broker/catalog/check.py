"""What can be said of an apb.yml before anything is started: mistakes that would stop the broker or a tenant, and what looks odd.

Owns what goes beyond loading: files that are named, hosts that an inventory has, settings that no role knows. Nothing is connected to.
"""

import difflib
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service_yaml

from apb_broker.catalog import certificates, groups, roles
from apb_broker.catalog import config as configuration
from apb_broker.catalog.catalog import Catalog, Offer
from apb_broker.catalog.config import Config, HostTarget, SharedTarget, Target
from apb_broker.catalog.credentials import PasswordHash
from apb_broker.catalog.errors import CatalogError, ConfigError

ALL = "all"  # the group of an inventory that has every host
LOCAL = "localhost"  # every inventory has it
SHARED_ROLES = ("apb.catalog.host_instance",)  # what dedicated servers of any service are kept by: its settings count for all


@dataclass(frozen=True)
class Report:
    """What was found: mistakes and warnings are lines that begin with the file; offers are what a catalog would hold."""

    mistakes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    offers: tuple[Offer, ...] = ()

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"mistakes": self.mistakes, "warnings": self.warnings, "offers": [offer_document(offer) for offer in self.offers]}


def offer_document(offer: Offer) -> dict[str, Any]:
    """One offer, plainly."""
    places = [place for target in offer.targets for place in _places(target)]
    return {
        "service": offer.service.name,
        "plan": offer.plan.name,
        "mode": offer.mode,
        "targets": [target.name for target in offer.targets],
        "places": places,
        "role": offer.service.role,
    }


def _places(target: Target) -> list[str]:
    if isinstance(target, SharedTarget):
        return [f"{target.address}:{target.port}"]
    return [f"{host.name} ({host.address}" + ("" if host.memory_gb is None else f", {host.memory_gb:g} GB") + ")" for host in target.hosts]


def check(path: Path, hosts_of: groups.HostsOf) -> Report:
    """Everything that can be found out about the file at once. `hosts_of` as in groups.resolved."""
    try:
        config = groups.resolved(configuration.load(path), hosts_of)
        catalog = Catalog.load(config)
    except (ConfigError, CatalogError) as error:
        return Report(mistakes=str(error).splitlines())
    mistakes = [*_unusable_secrets(config), *_unknown_hosts(config, hosts_of)]
    warnings = [f"{config.path}: {text}" for text in (*_unusual_hashes(config), *_unknown_settings(config, catalog), *_unused(config))]
    return Report(mistakes, warnings, catalog.offers)


def _unusable_secrets(config: Config) -> Iterator[str]:
    readers: list[Callable[[], Any]] = [user.credential for user in config.users]
    readers += [target.password for target in config.targets.values() if isinstance(target, SharedTarget)]
    if config.tls is not None:
        readers.append(partial(certificates.load, config.tls, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)))
    readers.append(partial(configuration.credentials_of, config.users))
    found: dict[str, None] = {}
    for read in readers:
        try:
            read()
        except ConfigError as error:
            found[str(error)] = None
    yield from found


def _unusual_hashes(config: Config) -> Iterator[str]:
    for index, user in enumerate(config.users):
        with suppress(ConfigError):
            credential = user.credential()
            if isinstance(credential, PasswordHash) and not credential.is_usual:
                yield (
                    f"users.{index}.password_file: the hash costs other time than those of `apb hash-password`: "
                    "how long a wrong password takes tells that this user exists"
                )


def _unknown_hosts(config: Config, hosts_of: groups.HostsOf) -> Iterator[str]:
    for target in config.targets.values():
        if not isinstance(target, HostTarget) or target.inventory is None or target.group is not None:
            continue
        where = f"{config.path}: targets.{target.name}"
        try:
            known = {name for name, _variables in hosts_of(target.inventory, ALL)} | {LOCAL}
        except ValueError as error:
            yield f"{where}.inventory: {error}"
            continue
        for index, host in enumerate(target.hosts):
            if host.name not in known:
                near = difflib.get_close_matches(host.name, sorted(known), 1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(known - {LOCAL})) or 'no hosts'}"
                yield f"{where}.hosts.{index}.name: {host.name!r} is not a host of {target.inventory}; {hint}"


def _unknown_settings(config: Config, catalog: Catalog) -> Iterator[str]:
    """Settings that no role has a default for: most likely misspelt, and then without effect."""
    shared = set().union(*(_defaults(name, config) for name in SHARED_ROLES))
    known = {role.name: _defaults(role.name, config) | shared for role in config.roles}
    for index, role in enumerate(config.roles):
        yield from _misspelt(f"roles.{index}.settings", role.settings, known[role.name])
    everything = set().union(shared, *known.values())
    for name, target in config.targets.items():
        yield from _misspelt(f"targets.{name}.settings", target.settings, everything)


def _misspelt(place: str, settings: dict[str, Any], known: set[str]) -> Iterator[str]:
    for name in sorted(set(settings) - known):
        near = difflib.get_close_matches(name, sorted(known), 1)
        hint = f"did you mean '{near[0]}'?" if near else "it has no effect"
        yield f"{place}.{name}: no role has this setting; {hint}"


def _defaults(role: str, config: Config) -> set[str]:
    file = roles.folder(role, config.services_path) / "defaults" / "main.yml"
    try:
        found = service_yaml.read(file) if file.is_file() else {}
    except service_yaml.YamlError:
        found = {}  # Ansible's own YAML (vaulted values, merge keys): not ours to judge
    return set(found or {})


def _unused(config: Config) -> Iterator[str]:
    if not config.offers:
        yield "offers: nothing is offered: the catalog is empty"
    used = {name for offer in config.offers for name in offer.targets}
    for name in config.targets:
        if name not in used:
            yield f"targets.{name}: no offer uses it"
