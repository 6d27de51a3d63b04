"""Who may have what, and how much of it: plans for some organizations or spaces only, and quotas."""

from apb_broker.catalog.catalog import Offer
from apb_broker.catalog.config import Quota
from apb_broker.lifecycle import errors
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Provision
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Instance


def require_new(broker: Broker, unit: Unit, offer: Offer, request: Provision) -> None:
    """Refuses an instance of this plan. What is counted stays locked until the end of the unit. Raises Forbidden, QuotaReached."""
    _require(unit, offer, {"organization": request.organization, "space": request.space}, list(broker.catalog.quotas))


def is_free(broker: Broker, offer: Offer, request: Provision) -> bool:
    """Whether everybody may have it, however many there are."""
    owners = {"organization": request.organization, "space": request.space}
    return offer.visible_to is None and not _of(list(broker.catalog.quotas), offer, owners)


def require_change(broker: Broker, unit: Unit, offer: Offer, instance: Instance) -> None:
    """Refuses that an instance changes to this plan; all instances together stay as many as they are. Raises Forbidden, QuotaReached.

    Changes that are in progress do not count yet: several at once can go past a plan's quota.
    """
    quotas = [quota for quota in broker.catalog.quotas if quota.plan is not None]
    _require(unit, offer, {"organization": instance.organization, "space": instance.space}, quotas)


def _require(unit: Unit, offer: Offer, owners: dict[str, str], quotas: list[Quota]) -> None:
    _require_visible(offer, owners["organization"], owners["space"])
    for quota in _of(quotas, offer, owners):
        owner = owners[quota.per]
        unit.lock_owner(quota.per, owner)
        plan_id = None if quota.plan is None else offer.plan.id
        if unit.count_instances(plan_id=plan_id, **{quota.per: owner}) >= quota.instances:
            what = "instances" if quota.plan is None else f"instances of plan {offer.plan.name}"
            raise errors.QuotaReached(f"{quota.per} {owner} may have {quota.instances} {what}, and has as many")


def _require_visible(offer: Offer, organization: str, space: str) -> None:
    audience = offer.visible_to
    if audience is not None and organization not in audience.organizations and space not in audience.spaces:
        raise errors.Forbidden(f"plan {offer.plan.name} is not offered to organization {organization} or space {space}")


def _of(quotas: list[Quota], offer: Offer, owners: dict[str, str]) -> list[Quota]:
    """The quotas that count for this plan and these owners, organizations first: one that names its owner replaces the one for each."""
    found: dict[tuple[str, str | None], Quota] = {}
    for quota in sorted(quotas, key=lambda quota: (quota.per, quota.name is not None)):
        if quota.name in (None, owners[quota.per]) and quota.plan in (None, offer.name):
            found[quota.per, quota.plan] = quota
    return list(found.values())
