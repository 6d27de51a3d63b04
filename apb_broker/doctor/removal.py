"""Removes what is left over, by the roles' own deprovision and unbind, each with nobody else at work on that instance.

What the broker does not remember is removed only when it is asked for: after a restore from an older copy it may be a tenant's.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker import execution
from apb_broker.doctor import places, runs
from apb_broker.doctor.findings import Finding
from apb_broker.doctor.places import Place
from apb_broker.lifecycle import errors, holdings
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.holdings import Holding
from apb_broker.lifecycle.operations import Work

DEADLINE_SECONDS = 120.0


def remove(broker: Broker, found: Iterable[Finding], *, unknown: bool) -> list[str]:
    """Removes what can be; returns a sentence for each thing that could not. Only from the main thread."""
    problems = []
    for finding in _each_once(one for one in found if one.sort in ("leftover", "booking") and (one.is_ours or unknown)):
        try:
            problem = _remove(broker, finding)
        except errors.Refused as error:
            problem = f"not now: {error}"
        if problem:
            problems.append(f"{finding.where}: {finding.thing} {finding.name}: {problem}")
    return problems


def _each_once(found: Iterable[Finding]) -> list[Finding]:
    """One finding for all that goes with it: a gone instance's things at one place go together."""
    kept: dict[Any, Finding] = {}
    for finding in found:
        kept.setdefault((finding.place, finding.slug, finding.account) if finding.place is not None else finding, finding)
    return list(kept.values())


def _remove(broker: Broker, finding: Finding) -> str:
    """What stood in the way, or "". Raises Busy."""
    if finding.sort == "booking":
        holdings.clear(broker, finding.source)
        return ""
    if finding.place is None or finding.slug is None:
        execution.sweep_directories(None)
        return ""
    # One that nobody remembers has no id to be locked by: then what was looked at twice has to do, and the fence on the host.
    with holdings.quiet(broker, finding.instance_id or finding.slug) as held:
        if _is_held(broker, finding, held):
            return "it belongs to an instance by now"
        work = _unbind(broker, finding, held) if held is not None else _deprovision(broker, finding, finding.place, finding.slug)
        if work is None:
            return "apb.yml has no role of its service any more: offer it again, or remove it by hand"
        outcome = runs.one(broker, work)
    return "" if outcome.status == "succeeded" else outcome.message or outcome.status


def _is_held(broker: Broker, finding: Finding, held: Holding | None) -> bool:
    if held is not None:
        return finding.account is None or finding.account in held.accounts
    return finding.account is not None or (finding.instance_id is None and finding.slug in holdings.read(broker).instances)


def _deprovision(broker: Broker, finding: Finding, place: Place, slug: str) -> Work | None:
    name = slug.rpartition("-")[0]
    role = next((found.role for found in broker.catalog.services if found.name == name), None)
    if role is None:
        return None
    return _work(broker, finding, "deprovision", role, place.mode, _described(place, slug, finding.instance_id))


def _described(place: Place, slug: str, instance_id: str | None) -> dict[str, Any]:
    """A gone instance, as far as its name tells."""
    placement = {"target": place.target, "host": place.host, "address": place.address, "directory": place.directory}
    return {
        "id": instance_id or slug,
        "name": slug,
        "names": service.names_of(slug),
        "host": place.address,
        "placement": placement,
        "ports": {"client": place.ports[0]} if place.mode == "shared" and place.ports else {},
        "connection": {},
        "outputs": {},
        "context": {},
        "secrets": {},
    }


def _unbind(broker: Broker, finding: Finding, held: Holding) -> Work:
    work = _work(broker, finding, "unbind", held.role, held.mode, held.described)
    work.variables["apb_binding"] = {"id": "", "username": finding.account, "password": "", "parameters": {}}
    return work


def _work(broker: Broker, finding: Finding, kind: str, role: str, mode: str, described: dict[str, Any]) -> Work:
    place = finding.place
    assert isinstance(place, places.Place)  # noqa: S101 - said by the caller
    epoch = holdings.next_epoch(broker)
    return Work(
        operation_id=str(uuid.uuid4()),
        epoch=epoch,
        kind=kind,
        action=kind,
        instance_id=described["id"],
        binding_id=None,
        role=role,
        target=place.target,
        variables={
            "apb_action": kind,
            "apb_mode": mode,
            "apb_epoch": epoch,
            "apb_role": role,
            "apb_service": (finding.slug or "").rpartition("-")[0],
            "apb_plan": "",
            "apb_parameters": {},
            "apb_instance": described,
            "apb_bindings": [],
        },
        secrets=tuple(described["secrets"].values()),
        deadline_seconds=DEADLINE_SECONDS,
    )
