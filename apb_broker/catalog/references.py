"""What each part of apb.yml says right by itself, but not together with the others: names that are missing, or given twice."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apb_broker.catalog.config import Config, HostTarget, User


def wrong(config: "Config") -> list[str]:
    """What each part of the file says right by itself, but not together with the others."""
    mistakes = [
        *_twice("users", "name", [user.name for user in config.users]),
        *_twice("roles", "name", [role.name for role in config.roles]),
        *_twice("offers", "plan", [offer.plan for offer in config.offers]),
        *_wrong_quotas(config),
    ]
    for index, offer in enumerate(config.offers):
        for name in offer.targets:
            target = config.targets.get(name)
            if target is None:
                known = ", ".join(config.targets) or "none"
                mistakes.append(f"offers.{index}.targets: {name!r} is not one of the targets of this file: {known}")
            elif target.mode != offer.mode:
                mistakes.append(f"offers.{index}.targets: target {name!r} is of mode {target.mode}, the offer of mode {offer.mode}")
        mistakes.extend(_twice(f"offers.{index}.targets", "", offer.targets))
        if offer.keep_deleted_seconds is not None and offer.mode != "host":
            mistakes.append(
                f"offers.{index}.keep_deleted_seconds: only servers of their own (mode host) can be stopped and kept; "
                f"this offer is of mode {offer.mode}: leave it out"
            )
    for name, target in config.targets.items():
        if target.mode == "host":
            mistakes.extend(_wrong_hosts(f"targets.{name}", target))
    for name, part in config.brokers.items():
        mistakes.extend(_wrong_users(f"brokers.{name}.users", part.users, config.users))
        mistakes.extend(_twice(f"brokers.{name}.services", "", part.services))
    return mistakes


def _wrong_users(field: str, names: list[str], users: "list[User]") -> list[str]:
    roles = {user.name: user.roles for user in users}
    mistakes = _twice(field, "", names)
    for index, name in enumerate(names):
        if name not in roles:
            mistakes.append(f"{field}.{index}: {name!r} is not one of the users of this file: {', '.join(roles)}")
        elif "platform" not in roles[name]:
            mistakes.append(f"{field}.{index}: user {name!r} lacks the role platform, so it cannot call a broker")
    return mistakes


def _wrong_hosts(field: str, target: "HostTarget") -> list[str]:
    if target.group is not None and target.hosts:
        return [f"{field}.group: a target has either hosts or a group"]
    if target.group is not None and target.inventory is None:
        return [f"{field}.inventory: is missing: it says which hosts group {target.group!r} has"]
    if target.group is None and not target.hosts:
        return [f"{field}.hosts: expected at least one, or the group of an inventory"]
    return _twice(f"{field}.hosts", "name", [host.name for host in target.hosts])


def _wrong_quotas(config: "Config") -> list[str]:
    offered, seen, mistakes = {offer.plan for offer in config.offers}, set(), []
    for index, quota in enumerate(config.quotas):
        if quota.plan is not None and quota.plan not in offered:
            mistakes.append(
                f"quotas.{index}.plan: {quota.plan!r} is not one of the offers of this file: {', '.join(sorted(offered)) or 'none'}"
            )
        if (key := (quota.per, quota.name, quota.plan)) in seen:
            mistakes.append(f"quotas.{index}: there is a quota for the same already")
        seen.add(key)
    return mistakes


def _twice(field: str, key: str, values: list[str]) -> list[str]:
    return [
        f"{field}.{index}{'.' if key else ''}{key}: {value!r} is given twice"
        for index, value in enumerate(values)
        if value in values[:index]
    ]
