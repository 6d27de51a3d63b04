"""ClusterServiceBroker and ServiceBroker: when the catalog is read, and what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from apb_controller.rules import catalog, catalog_changes, conditions, names, osb, restrictions, times
from apb_controller.rules.answers import Kind, Outcome
from apb_controller.rules.drafts import Draft
from apb_controller.rules.steps import NOTHING, Blocked, Deletion, Limits, Object, Step
from apb_controller.scopes import Scope

FETCHED = "Successfully fetched catalog entries from broker."
TOO_LONG = "Stopping reconciliation retries because too much time has elapsed"
SHOWN_INSTANCES = 5


@dataclass(frozen=True)
class World:
    """What surrounds a broker. `classes` and `plans`: all of the scope, other brokers' too, by their Kubernetes names."""

    now: datetime
    scope: Scope
    classes: Mapping[str, Object] = field(default_factory=dict)
    plans: Mapping[str, Object] = field(default_factory=dict)
    instances: Sequence[str] = ()  # namespace/name of those that refer to the broker's classes
    login_error: str | None = None  # why the login cannot be read from its Secret
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Sync:
    """What a catalog asks for: the changes, then the step. When a change fails, `not_synced` instead of the step."""

    step: Step
    changes: tuple[catalog_changes.Change, ...] = ()


def should_reconcile(broker: Object, world: World) -> bool:
    """Whether the catalog has to be read: something changed, it could not be read, or its time has come."""
    status = broker.get("status") or {}
    ready = conditions.is_true(status.get("conditions"), "Ready")
    if broker["metadata"].get("generation") != status.get("reconciledGeneration") or not ready:
        return True
    if broker["spec"].get("relistBehavior") == "Manual":
        return False
    return relist_in(broker, world) <= 0


def relist_in(broker: Object, world: World) -> float:
    """Seconds until the catalog is read again by itself."""
    last = times.read((broker.get("status") or {}).get("lastCatalogRetrievalTime"))
    span = times.duration(broker["spec"].get("relistDuration")) or world.limits.relist
    return (last + span - world.now).total_seconds() if last else 0.0


def next_step(broker: Object, world: World) -> Step:
    """What is done next."""
    if broker["metadata"].get("deletionTimestamp"):
        return _removal(broker, world)
    if not should_reconcile(broker, world):
        is_manual = broker["spec"].get("relistBehavior") == "Manual"
        return NOTHING if is_manual else Step(wait_seconds=relist_in(broker, world))
    finalizers = broker["metadata"].get("finalizers") or []
    if names.FINALIZER not in finalizers:
        return Step(metadata={"finalizers": [*finalizers, names.FINALIZER]})
    draft = Draft(broker.get("status"), world.now)
    is_new = broker["metadata"].get("generation") != draft.status.get("observedGeneration")
    if not is_new and (pause := draft.pause()):
        return Step(wait_seconds=pause)
    if world.login_error is not None:
        return _no_login(draft, broker, world)
    return Step(request=osb.CATALOG)


def after(broker: Object, outcome: Outcome, world: World) -> Sync:
    """What the broker's answer makes of it."""
    if outcome.kind is not Kind.DONE:
        draft = Draft(broker.get("status"), world.now)
        return Sync(_not_fetched(draft, broker, outcome.error, world, outcome))
    try:
        wanted = catalog.wanted(outcome.body, broker, world.scope)
    except (catalog.CatalogError, restrictions.RestrictionError) as error:
        return Sync(not_synced(broker, str(error), world))
    found = catalog_changes.between(wanted, world.classes, world.plans, broker, world.scope)
    if found.collisions:
        return Sync(not_synced(broker, "; ".join(found.collisions), world), tuple(found.changes))
    return Sync(_synced(broker, world), tuple(found.changes))


def not_synced(broker: Object, error: str, world: World) -> Step:
    """The catalog makes no sense, or a change of the cluster failed."""
    draft = Draft(broker.get("status"), world.now)
    draft.set(operationStartTime=None)
    return _later(draft, broker, "ErrorSyncingCatalog", f"Error syncing catalog from {world.scope.broker}.{error}", world)


def not_deleted(broker: Object, kind: str, name: str, error: str, world: World) -> Step:
    """A class or plan could not be deleted."""
    draft = Draft(broker.get("status"), world.now)
    text = f'Error deleting {kind} (K8S: "{name}") on broker "{broker["metadata"]["name"]}".{error}'
    return _later(draft, broker, f"ErrorDeleting{kind}", text, world, ready="Unknown")


def _synced(broker: Object, world: World) -> Step:
    draft = Draft(broker.get("status"), world.now)
    draft.set(operationStartTime=None, attempts=None, nextAttemptTime=None)
    generation = broker["metadata"].get("generation")
    draft.set(reconciledGeneration=generation, observedGeneration=generation, lastCatalogRetrievalTime=times.written(world.now))
    draft.drop("Failed")
    draft.ready("True", "FetchedCatalog", FETCHED)
    draft.tell("FetchedCatalog", FETCHED)
    # What was read twice within a second changes nothing, so no watch event leads to the look that knows when the next one is due.
    return draft.step(wait_seconds=None if draft.is_changed else 1.0)


def _no_login(draft: Draft, broker: Object, world: World) -> Step:
    message = f"Error getting broker auth credentials for broker {broker['metadata']['name']}: {world.login_error}"
    draft.warn("ErrorGettingAuthCredentials", message)
    return _not_fetched(draft, broker, message, world, None, is_told=True)


def _not_fetched(draft: Draft, broker: Object, error: str, world: World, outcome: Outcome | None, *, is_told: bool = False) -> Step:
    """The catalog could not be read: since when is kept, and told as a failure after the time for retries."""
    draft.set(operationStartTime=draft.status.get("operationStartTime") or times.written(world.now))
    step = _later(draft, broker, "ErrorFetchingCatalog", f"Error fetching catalog.{error}", world, outcome, is_told=is_told)
    if not draft.has_taken(world.limits.retry_duration) or draft.is_true("Failed"):
        return step
    draft.condition("Failed", "True", "ErrorReconciliationRetryTimeout", TOO_LONG)
    draft.warn("ErrorReconciliationRetryTimeout", TOO_LONG)
    return draft.step()


def _later(
    draft: Draft,
    broker: Object,
    reason: str,
    message: str,
    world: World,
    outcome: Outcome | None = None,
    *,
    ready: str = "False",
    is_told: bool = False,
) -> Step:
    draft.ready(ready, reason, message)
    if not is_told:
        draft.warn(reason, message)
    if broker["metadata"].get("generation") != draft.status.get("observedGeneration"):
        draft.set(attempts=None, observedGeneration=broker["metadata"].get("generation"))
    draft.try_later(world.limits, outcome)
    return draft.step()


def _removal(broker: Object, world: World) -> Step:
    """Plans, then classes, then the broker itself; nothing while an instance needs it."""
    if names.FINALIZER not in (broker["metadata"].get("finalizers") or []):
        return NOTHING
    draft = Draft(broker.get("status"), world.now)
    if world.instances:
        return draft.blocked(Blocked("DeletionBlockedByExistingInstances", _in_use(world.instances)), world.limits)
    if deletions := _owned(broker, world):
        return Step(deletions=deletions)
    name = broker["metadata"]["name"]
    reason, message = "DeletedSuccessfully", f"The servicebroker {name} was deleted successfully."
    if world.scope.is_cluster:
        reason, message = "DeletedClusterServiceBrokerSuccessfully", f"The broker {name} was deleted successfully."
    draft.ready("False", reason, message)
    draft.tell(reason, message)
    finalizers = [one for one in broker["metadata"]["finalizers"] if one != names.FINALIZER]
    return draft.step(metadata={"finalizers": finalizers})


def _owned(broker: Object, world: World) -> tuple[Deletion, ...]:
    """All that is the broker's, what people made for it too: without it nothing of that can be used."""
    found = [
        Deletion(kind, name, one["metadata"].get("uid"))
        for kind, objects in ((world.scope.plan, world.plans), (world.scope.service_class, world.classes))
        for name, one in objects.items()
        if one["spec"].get(world.scope.broker_field) == broker["metadata"]["name"]
    ]
    return tuple(found)


def _in_use(instances: Sequence[str]) -> str:
    shown = ", ".join(sorted(instances)[:SHOWN_INSTANCES])
    more = f" and {len(instances) - SHOWN_INSTANCES} more" if len(instances) > SHOWN_INSTANCES else ""
    return f"All ServiceInstances of the broker must be removed before it can be deleted: {shown}{more}"
