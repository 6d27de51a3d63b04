"""The looks themselves: a run of the playbook `survey` for each place, and what became of it."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from apb_broker import execution
from apb_broker.doctor import findings, places, runs
from apb_broker.doctor.findings import Finding, Knowledge, Survey
from apb_broker.doctor.places import Place
from apb_broker.lifecycle import holdings
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.holdings import Holdings
from apb_broker.lifecycle.operations import Work

DEADLINE_SECONDS = 600.0


@dataclass(frozen=True)
class Examination:
    """All that was found, and where nobody could look: sentences, of places that did not answer and of roles that cannot look."""

    findings: list[Finding]
    unseen: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)


def examine(broker: Broker) -> Examination:
    """Looks everywhere. Only from the main thread."""
    dead = execution.dead_directories(None)  # before a run of ours removes them
    before = holdings.read(broker)
    everywhere = places.of(broker.catalog)
    seen, unseen = _look(broker, everywhere, before)
    after = holdings.read(broker)
    knowledge = Knowledge(before, after, holdings.touched_since(broker, before.at))
    found = [*findings.of_directories(dead), *findings.of_books(before, after), *findings.unplaced(after, everywhere)]
    for survey in seen:
        found += findings.at(survey, knowledge)
    return Examination(found, unseen, _blind(broker, everywhere, before))


def _look(broker: Broker, everywhere: Iterable[Place], known: Holdings) -> tuple[list[Survey], list[str]]:
    works = {(work := _work(broker, place, known)).operation_id: (place, work) for place in everywhere}
    seen, unseen = [], []
    for work, outcome in runs.each(broker, [work for _place, work in works.values()]):
        place = works[work.operation_id][0]
        if outcome.status == "succeeded":
            seen.append(Survey(place, outcome.published.get("survey", {})))
        else:
            unseen.append(f"{place.label}: {outcome.message or outcome.status}")
    return seen, unseen


def _work(broker: Broker, place: Place, known: Holdings) -> Work:
    services = places.services_at(broker.catalog, place, known)
    secrets = [text for held in known.instances.values() if place.has(held) for text in held.described["secrets"].values()]
    return Work(
        operation_id=str(uuid.uuid4()),
        epoch=holdings.next_epoch(broker),
        kind="survey",
        action="survey",
        instance_id="",
        binding_id=None,
        role=next((found.role for found in services if found.role and found.has_survey), ""),
        target=place.target,
        variables=places.survey_variables(place, services, known),
        secrets=tuple(secrets),
        deadline_seconds=DEADLINE_SECONDS,
    )


def _blind(broker: Broker, everywhere: Iterable[Place], known: Holdings) -> list[str]:
    return [
        f"{place.label}: nobody can say what {found.name} has there: its role has no tasks/{place.mode}/survey.yml"
        for place in everywhere
        for found in places.services_at(broker.catalog, place, known)
        if not found.has_survey and place.mode == "shared"
    ]
