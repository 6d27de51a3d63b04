"""ClusterServiceBroker and ServiceBroker: looks at them, and makes the cluster's classes and plans those of their catalogs."""

from typing import Any

from apb_controller import metrics
from apb_controller.kube import errors, objects, patches, resources
from apb_controller.reconcilers import calls
from apb_controller.reconcilers.calls import Calls
from apb_controller.reconcilers.context import Context
from apb_controller.reconcilers.known import place_of
from apb_controller.reconcilers.writes import Writes
from apb_controller.rules import brokers, catalog_changes
from apb_controller.rules.answers import Outcome
from apb_controller.rules.brokers import World
from apb_controller.rules.catalog_changes import Change
from apb_controller.rules.steps import Request, Step
from apb_controller.runtime.looks import NOT_AGAIN, Again
from apb_controller.runtime.queue import Key
from apb_controller.scopes import Scope

Object = dict[str, Any]
MOST_REPEATS = 3  # of a change of classes and plans that were not as they were known
LEFT_SECONDS = 1.0  # until classes and plans that others hold are looked at again


class Brokers:
    """Of one scope, for one term as leader."""

    def __init__(self, context: Context, scope: Scope, calls: Calls) -> None:
        self._context, self._scope, self._calls = context, scope, calls
        self._writes = Writes(context)

    async def look(self, key: Key) -> Again:
        """One look. Raises KubeError and NotLeading."""
        broker = self._context.known.get(*key)
        if broker is None:
            return NOT_AGAIN
        step = brokers.next_step(broker, self._world(broker))
        try:
            if step.request is not None:
                step = await self._read_catalog(broker, step.request)
            if step.deletions:
                return await self._delete(broker, step)
            await self._writes.step(broker, step)
        except errors.Conflict:
            await self._writes.fresh(broker)
            return Again(0)
        return Again(step.wait_seconds)

    def _world(self, broker: Object, login_error: str | None = None) -> World:
        known, scope = self._context.known, self._scope
        in_use = known.instances_of_broker(broker, scope) if broker["metadata"].get("deletionTimestamp") else ()
        return World(
            now=self._context.now(),
            scope=scope,
            classes=known.of_scope(scope.service_class, broker),
            plans=known.of_scope(scope.plan, broker),
            instances=[f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in in_use],
            login_error=login_error,
            limits=self._context.settings.limits,
        )

    async def _read_catalog(self, broker: Object, request: Request) -> Step:
        """Calls the broker, without waiting for a turn: what its instances wait for may be exactly this."""
        if error := await self._calls.login_error(broker):
            return brokers.next_step(broker, self._world(broker, error))
        outcome = await self._calls.ask(broker, request)
        return await self._synced(broker, outcome)

    async def _synced(self, broker: Object, outcome: Outcome) -> Step:
        for _ in range(MOST_REPEATS):
            sync = brokers.after(broker, outcome, self._world(broker))
            try:
                for change in sync.changes:
                    await self._change(broker, change)
            except (errors.AlreadyExists, errors.NotFound, errors.Conflict) as error:
                problem = str(error)  # it is known better now
                continue
            except errors.Refused as error:
                return brokers.not_synced(broker, str(error), self._world(broker))
            self._count(broker)
            return sync.step
        return brokers.not_synced(broker, problem, self._world(broker))

    async def _change(self, broker: Object, change: Change) -> None:
        """One change of a class or plan. Raises KubeError; what is there is known then as it is."""
        place = place_of(broker, self._scope)
        there = self._context.known.get(change.kind, place, change.name)
        try:
            if change.verb == "create" and change.object is not None:
                await self._create(change.object)
            elif there is not None and change.verb == "update" and change.object is not None:
                wanted = change.object
                metadata = {name: wanted["metadata"][name] for name in ("labels", "ownerReferences")}
                await self._writes.patch(there, patches.of_content(there, metadata, {"spec": wanted["spec"]}))
            elif there is not None:
                status = {**(there.get("status") or {}), "removedFromBrokerCatalog": change.verb == "mark-removed"}
                await self._writes.patch(there, patches.of_status(there, status), "status")
        except (errors.NotFound, errors.Conflict, errors.AlreadyExists):
            await self._learn(change.kind, place, change.name, there)
            raise

    async def _create(self, made: Object) -> None:
        self._context.require_leading()
        self._context.known.put(await objects.create(self._context.api, resources.CATALOG[made["kind"]], made))

    async def _learn(self, kind: str, place: str, name: str, there: Object | None) -> None:
        try:
            self._context.known.put(await objects.read(self._context.api, resources.CATALOG[kind], place or None, name))
        except errors.NotFound:
            if there is not None:
                self._context.known.gone(there)

    async def _delete(self, broker: Object, step: Step) -> Again:
        place, are_gone = place_of(broker, self._scope), True
        for each in step.deletions:
            try:
                are_gone &= await self._writes.delete(each.kind, place, each.name, each.uid)
            except errors.Refused as error:
                await self._writes.step(broker, brokers.not_deleted(broker, each.kind, each.name, str(error), self._world(broker)))
                return NOT_AGAIN
        return Again(0 if are_gone else LEFT_SECONDS)

    def _count(self, broker: Object) -> None:
        place = (place_of(broker, self._scope), broker["metadata"]["name"])
        for kind, gauge in ((self._scope.service_class, metrics.CLASSES), (self._scope.plan, metrics.PLANS)):
            gauge.labels(calls.shown(broker)).set(len(self._context.known.stores[kind].by("broker", place)))


class Entries:
    """Classes and plans, for one term as leader: those that have left their catalog go when nothing refers to them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._writes = Writes(context)

    async def look(self, key: Key) -> Again:
        """One look. Raises KubeError and NotLeading."""
        thing = self._context.known.get(*key)
        if thing is None or not catalog_changes.is_to_go(thing, is_referred_to=self._context.known.is_referred_to(thing)):
            return NOT_AGAIN
        await self._writes.delete(key.kind, key.namespace, key.name, thing["metadata"]["uid"])
        return NOT_AGAIN
