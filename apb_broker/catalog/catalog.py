"""The catalog: services of the roles that apb.yml lists, with those of their plans that apb.yml gives a target.

Made once at start and never changed; a changed apb.yml or role takes effect with the next start. Instances live by their plan's snapshot,
so nothing here is needed to go on with one whose plan is no longer offered, except its target and the operator's settings.
"""

import functools
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service as described

from apb_broker.catalog import roles
from apb_broker.catalog.config import Audience, BindingExpiry, Config, OfferEntry, Quota, Repair, Target
from apb_broker.catalog.errors import CatalogError, ConfigError, NotOffered

SERVICE_TEXTS = ("displayName", "longDescription", "providerDisplayName")
SERVICE_LINKS = ("documentationUrl", "supportUrl")


@dataclass(frozen=True)
class Offer:
    """A plan that can be had: of which service, in which mode, on which targets (in the order they are filled)."""

    service: described.Service
    plan: described.Plan
    mode: str
    targets: tuple[Target, ...]
    binding_expiry: BindingExpiry | None = None
    visible_to: Audience | None = None
    deletion_protection: bool = False
    keep_deleted_seconds: float | None = None
    repair: Repair | None = None

    @property
    def name(self) -> str:
        """As apb.yml names it: SERVICE/PLAN."""
        return f"{self.service.name}/{self.plan.name}"


@dataclass(frozen=True, eq=False)
class Catalog:
    """What is offered, by OSB id. One is itself and no other: what is made of it can be kept by it."""

    offers: tuple[Offer, ...]
    targets: dict[str, Target]
    role_settings: dict[str, dict[str, Any]]
    language: str = "en"
    polling_seconds: int | None = None
    quotas: tuple[Quota, ...] = ()
    left_out: tuple[Offer, ...] = ()  # of a slice: what it lacks of the whole

    @classmethod
    def load(cls, config: Config) -> "Catalog":
        """The catalog of this configuration. Raises CatalogError or ConfigError naming what is wrong."""
        found = {role.name: roles.find(role.name, config.services_path) for role in config.roles}
        try:
            loaded = [described.load(role.description, role=role.name, version=role.version) for role in found.values()]
        except described.ServiceError as error:
            raise CatalogError(str(error)) from error
        _refuse_duplicates(loaded)
        directories = {role.name: role.directory for role in found.values()}
        offers = tuple(_offer(config, loaded, directories, index, entry) for index, entry in enumerate(config.offers))
        _refuse_unknown_services(config, offers)
        settings = {found[role.name].name: dict(role.settings) for role in config.roles}
        limits = config.settings
        polling = math.ceil(limits.operation_deadline_seconds + limits.lease_seconds + limits.grace_seconds)
        return cls(offers, dict(config.targets), settings, limits.language, polling, tuple(config.quotas))

    def slice(self, services: Collection[str]) -> "Catalog":
        """The part of it with these services, by name. Nothing else can be had there; what was had goes on as before."""
        kept = tuple(offer for offer in self.offers if offer.service.name in services)
        return replace(self, offers=kept, left_out=tuple(offer for offer in self.offers if offer not in kept))

    @functools.cached_property
    def services(self) -> tuple[described.Service, ...]:
        """The services with at least one plan on offer."""
        return tuple({offer.service.id: offer.service for offer in self.offers}.values())

    def service(self, service_id: str) -> described.Service:
        """The service of this id. Raises NotOffered."""
        for service in self.services:
            if service.id == service_id:
                return service
        raise NotOffered(f"service_id: {_short(service_id)} is not a service of this catalog")

    def offer(self, service_id: str, plan_id: str) -> Offer:
        """The offer of this plan of this service. Raises NotOffered."""
        service = self.service(service_id)
        for offer in self.offers:
            if offer.service.id == service_id and offer.plan.id == plan_id:
                return offer
        raise NotOffered(f"plan_id: {_short(plan_id)} is not a plan of service {service.name}")

    def of_plan(self, plan_id: str) -> Offer | None:
        """What apb.yml says of this plan, also where a slice lacks it; None: it is not on offer."""
        return next((offer for offer in (*self.offers, *self.left_out) if offer.plan.id == plan_id), None)

    def binding_expiry(self, plan_id: str) -> BindingExpiry | None:
        """When new bindings of this plan end; None: not by themselves, or the plan is not on offer."""
        offer = self.of_plan(plan_id)
        return None if offer is None else offer.binding_expiry

    def repair(self, plan_id: str) -> Repair | None:
        """What the operator wants done about failing instances of this plan; None: as for all, or the plan is not on offer."""
        offer = self.of_plan(plan_id)
        return None if offer is None else offer.repair

    def target(self, name: str) -> Target:
        """The target of this name, whether or not anything is offered on it. Raises KeyError."""
        return self.targets[name]

    def settings(self, role: str, target: str) -> dict[str, Any]:
        """The operator's variables for a role on a target; what the target says wins. Both may have left apb.yml."""
        of_target = self.targets[target].settings if target in self.targets else {}
        return {**self.role_settings.get(role, {}), **of_target}

    def osb(self) -> dict[str, Any]:
        """The body of GET /v2/catalog (OSB 2.17, "Catalog Management")."""
        services = [_osb_service(service, self._plans(service), self.language) for service in self.services]
        for plan in (plan for service in services for plan in service["plans"]):
            plan["maximum_polling_duration"] = self.polling_seconds
        return {"services": services}

    def _plans(self, service: described.Service) -> list[described.Plan]:
        return [offer.plan for offer in self.offers if offer.service.id == service.id]


def _offer(config: Config, loaded: list[described.Service], directories: dict[str, Path], index: int, entry: OfferEntry) -> Offer:
    service_name, plan_name = entry.plan.split("/")
    service = next((service for service in loaded if service.name == service_name), None)
    field = f"{config.path}: offers.{index}.plan: {entry.plan!r}"
    if service is None:
        names = ", ".join(service.name for service in loaded) or "none"
        raise CatalogError(f"{field}: no listed role is service {service_name!r}; services of the listed roles: {names}")
    try:
        plan = service.plan(plan_name)
    except KeyError as error:
        raise CatalogError(f"{field}: {error.args[0]}") from error
    _refuse_mode(f"{config.path}: offers.{index}.mode: {entry.mode!r}", plan, entry.mode, directories[service.role])
    return Offer(
        service,
        plan,
        entry.mode,
        tuple(config.targets[name] for name in entry.targets),
        entry.binding_expiry,
        entry.visible_to,
        entry.deletion_protection,
        entry.keep_deleted_seconds,
        entry.repair,
    )


def _refuse_mode(field: str, plan: described.Plan, mode: str, directory: Path) -> None:
    fitting = described.MODES_OF[plan.tenancy]
    if mode not in fitting:
        raise CatalogError(
            f"{field}: plan {plan.name} is {plan.tenancy}: expected {' or '.join(fitting) or 'no offer: it cannot be placed yet'}"
        )
    if not (directory / "tasks" / mode / "provision.yml").is_file():
        raise CatalogError(f"{field}: {directory} has no tasks/{mode}/provision.yml, so its role does not know this mode")


def _refuse_unknown_services(config: Config, offers: Iterable[Offer]) -> None:
    offered = {offer.service.name for offer in offers}
    mistakes = [
        f"brokers.{name}.services.{index}: {service!r} is not offered; services on offer: {', '.join(sorted(offered)) or 'none'}"
        for name, part in config.brokers.items()
        for index, service in enumerate(part.services)
        if service not in offered
    ]
    if mistakes:
        raise ConfigError(config.path, mistakes)


def _refuse_duplicates(loaded: list[described.Service]) -> None:
    """OSB: service names and ids are unique, plan ids globally too."""
    _refuse_twice("service name", ((service.name, service.role) for service in loaded))
    ids = [(service.id, service.role) for service in loaded]
    ids += [(plan.id, f"{service.role} (plan {plan.name})") for service in loaded for plan in service.plans]
    _refuse_twice("id", ids)


def _refuse_twice(what: str, owners: Iterable[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for value, owner in owners:
        if value in first:
            raise CatalogError(f"{what} {value} is used by {first[value]} and by {owner}: it must be unique")
        first[value] = owner


def _osb_service(service: described.Service, plans: list[described.Plan], language: str) -> dict[str, Any]:
    return {
        "id": service.id,
        "name": service.name,
        "description": described.text(service.description, language),
        "tags": list(service.tags),
        "bindable": service.bindable,
        "instances_retrievable": True,
        "bindings_retrievable": service.bindable,
        "plan_updateable": False,
        "allow_context_updates": True,
        "metadata": {**_service_metadata(service.metadata, language), "category": service.category},
        "plans": [_osb_plan(plan, plans, language) for plan in plans],
    }


def _osb_plan(plan: described.Plan, offered: list[described.Plan], language: str) -> dict[str, Any]:
    maintenance = {name: described.text(value, language) for name, value in plan.maintenance.items()}
    return {
        "id": plan.id,
        "name": plan.name,
        "description": described.text(plan.description, language),
        "free": plan.free,
        "bindable": plan.bindable,
        "binding_rotatable": plan.bindable and plan.rotatable,
        "plan_updateable": any(other.name in plan.updates_to for other in offered),
        **({"maintenance_info": maintenance} if maintenance else {}),
        "metadata": _plan_metadata(plan, language),
        "schemas": described.osb_schemas(plan, language),
    }


def _service_metadata(metadata: dict[str, Any], language: str) -> dict[str, Any]:
    shown = {key: described.text(metadata[key], language) for key in SERVICE_TEXTS if key in metadata}
    shown |= {key: metadata[key] for key in SERVICE_LINKS if key in metadata}
    image = metadata.get("imageUrl", "")
    return {**shown, "imageUrl": image} if "://" in image else shown  # a file of the role has no URL a platform could reach


def _plan_metadata(plan: described.Plan, language: str) -> dict[str, Any]:
    shown = dict(plan.metadata)
    if customize := described.customize(plan, language):
        shown["customize"] = customize
    if "displayName" in shown:
        shown["displayName"] = described.text(shown["displayName"], language)
    if "bullets" in shown:
        shown["bullets"] = [described.text(bullet, language) for bullet in shown["bullets"]]
    return shown


def _short(value: str) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
