"""What is there and should not be, and what should be and is not: a look at a place, held against what the broker knew before and after.

Pure: whatever changed meanwhile says nothing and is left out. A thing is left over only if no instance of its name exists
anywhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from apb_broker.doctor.places import Place
from apb_broker.lifecycle.holdings import Holding, Holdings

Sort = Literal["leftover", "missing", "port", "booking", "run"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    `is_ours` says whether the broker remembers what it belonged to; `account` is set where that is a binding of a live instance.
    """

    sort: Sort
    thing: str
    name: str
    where: str
    text: str
    place: Place | None = None
    slug: str | None = None
    instance_id: str | None = None
    account: str | None = None
    is_ours: bool = True
    source: Any = field(default=None, compare=False, repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "finding": self.sort,
            "thing": self.thing,
            "name": self.name,
            "where": self.where,
            "target": None if self.place is None else self.place.target,
            "slug": self.slug,
            "instance_id": self.instance_id,
            "remembered": self.is_ours,
            "text": self.text,
        }


@dataclass(frozen=True)
class Survey:
    """What a survey of a place published: {who looked: {things, expects}}."""

    place: Place
    parts: dict[str, dict[str, Any]]

    @property
    def things(self) -> list[dict[str, Any]]:
        """All that is there."""
        return [thing for part in self.parts.values() for thing in part["things"]]


@dataclass(frozen=True)
class Knowledge:
    """What the broker knew before and after the look, and the instances that were worked on meanwhile."""

    before: Holdings
    after: Holdings
    touched: set[str]

    def holding(self, slug: str) -> Holding | None:
        """The instance of this name, also one that only just came or went."""
        return self.after.instances.get(slug) or self.before.instances.get(slug)

    def accounts(self, slug: str) -> set[str]:
        """The usernames of its bindings, whatever became of them."""
        return {name for known in (self.before, self.after) if (held := known.instances.get(slug)) for name in held.accounts}

    def steady(self, place: Place) -> Iterator[tuple[Holding, set[str]]]:
        """The instances there that were ready all the time, each with the accounts that were."""
        for slug, held in self.before.instances.items():
            later = self.after.instances.get(slug)
            if later is not None and held.state == later.state == "ready" and place.has(held) and slug not in self.touched:
                yield held, {name for name, state in held.accounts.items() if state == later.accounts.get(name) == "ready"}


def at(survey: Survey, knowledge: Knowledge) -> list[Finding]:
    """Everything that is wrong there."""
    found = [finding for thing in survey.things if (finding := _of_thing(survey.place, thing, knowledge)) is not None]
    return found + list(_missing(survey, knowledge))


def _of_thing(place: Place, thing: dict[str, Any], knowledge: Knowledge) -> Finding | None:
    slug = thing["slug"]
    if slug is None:
        return _port(place, thing, knowledge)
    if slug in knowledge.touched:
        return None
    held = knowledge.holding(slug)
    if held is None:
        instance_id = knowledge.before.gone.get(slug) or knowledge.after.gone.get(slug)
        whose = f"instance {instance_id} is gone" if instance_id else "no instance of this name is known, nor remembered"
        return _leftover(place, thing, whose, instance_id, is_ours=instance_id is not None)
    if thing["kind"] == "run":
        text = "nothing is in progress on its instance: the next action on it ends it"
        return Finding("run", "process", thing["name"], place.label, f"{thing['detail']}; {text}", place, slug, held.id)
    account = thing.get("account")
    if account is not None and account not in knowledge.accounts(slug):
        is_ours = (slug, account) in knowledge.before.gone_accounts
        whose = f"its binding of instance {held.id} is gone" if is_ours else f"instance {held.id} has no such binding, nor remembers one"
        return _leftover(place, thing, whose, held.id, is_ours=is_ours, account=account)
    return None


def _leftover(
    place: Place, thing: dict[str, Any], whose: str, instance_id: str | None, *, is_ours: bool, account: str | None = None
) -> Finding:
    text = f"{thing['detail']}; {whose}" if thing["detail"] else whose
    return Finding("leftover", thing["kind"], thing["name"], place.label, text, place, thing["slug"], instance_id, account, is_ours)


def _port(place: Place, thing: dict[str, Any], knowledge: Knowledge) -> Finding | None:
    """Somebody listens on a port that is for instances, and no process of an instance that we can see."""
    for known in (knowledge.before, knowledge.after):
        for held in known.instances.values():
            if held.described["placement"]["address"] == place.address and thing["port"] in held.described["ports"].values():
                return None
    text = f"{thing['detail']}; no instance has this port: end that program, or keep the port out of the range of target {place.target}"
    return Finding("port", "port", thing["name"], place.label, text, place, is_ours=False)


def _missing(survey: Survey, knowledge: Knowledge) -> Iterator[Finding]:
    there = {(thing["kind"], thing["slug"]) for thing in survey.things}
    accounts = {(thing["slug"], thing["account"]) for thing in survey.things if thing.get("account")}
    for held, usernames in knowledge.steady(survey.place):
        parts = [part for who, part in survey.parts.items() if who in ("host", held.role)]
        lacking = [kind for part in parts for kind in part["expects"]["instance"] if (kind, held.slug) not in there]
        for kind in lacking:
            yield _lacks(survey.place, held, kind, held.slug, f"instance {held.id} ('{held.name}') is ready and has none")
        expects_account = any("account" in part["expects"]["binding"] for part in parts)
        for name in sorted(usernames) if expects_account and not lacking else ():
            if (held.slug, name) not in accounts:
                yield _lacks(survey.place, held, "account", name, f"a binding of instance {held.id} ('{held.name}') is ready and has none")


def _lacks(place: Place, held: Holding, kind: str, name: str, text: str) -> Finding:
    return Finding("missing", kind, name, place.label, text, place, held.slug, held.id)


def of_books(before: Holdings, after: Holdings) -> list[Finding]:
    """Bookings that no instance has, seen twice."""
    return [
        Finding(
            "booking",
            "memory" if stray.port is None else "port",
            stray.place if stray.port is None else f"{stray.place}:{stray.port}",
            "database",
            f"booked for instance {stray.instance_id}, which does not have it",
            instance_id=stray.instance_id,
            source=stray,
        )
        for stray in before.strays
        if stray in after.strays
    ]


def of_directories(paths: Iterable[Any]) -> list[Finding]:
    """Private directories of runs whose supervisor is dead."""
    text = "its run is dead; the next run of whatever worker here removes it"
    return [Finding("leftover", "run directory", str(path), "this machine", text, source=path) for path in paths]


def unplaced(holdings: Holdings, places: list[Place]) -> list[Finding]:
    """Instances at places that apb.yml does not have any more."""
    return [
        Finding(
            "missing",
            "target",
            held.place[0],
            "apb.yml",
            f"instance {held.id} ('{held.name}') is on host {held.place[1]} of it, and apb.yml does not have that: put it back",
            slug=held.slug,
            instance_id=held.id,
        )
        for held in holdings.instances.values()
        if not any(place.has(held) for place in places)
    ]
