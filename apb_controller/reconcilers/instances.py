"""ServiceInstance: what surrounds one."""

import uuid
from typing import Any

from apb_controller.kube import errors, objects, resources
from apb_controller.reconcilers.context import Context
from apb_controller.reconcilers.secrets import Sources, Texts
from apb_controller.rules import instances
from apb_controller.rules.answers import Call, Outcome
from apb_controller.rules.instances.world import World
from apb_controller.rules.steps import Step

Object = dict[str, Any]


class Instances:
    """The kind, as the shell asks for it."""

    kind = "ServiceInstance"

    def __init__(self, context: Context) -> None:
        self._context = context

    async def prepare(self, thing: Object) -> Object | None:
        """The namespace: that it is not there is believed only of the API server itself. Raises KubeError."""
        return await namespace_of(self._context, thing)

    def world(self, thing: Object, sources: Sources, around: Object | None) -> World:
        """What surrounds the instance now."""
        known, settings = self._context.known, self._context.settings
        classes, plans = known.choices(thing)
        return World(
            now=self._context.now(),
            classes=classes,
            plans=plans,
            broker=known.broker_of(thing),
            namespace=around,
            bindings=known.bindings_of(thing),
            secrets=Texts(sources),
            cluster_id=self._context.cluster_id,
            new_id=str(uuid.uuid4()),
            limits=settings.limits,
            leading_since=self._context.leading_since,
            has_plan_defaults=settings.has_plan_defaults,
            deletes_bindings=settings.deletes_bindings,
        )

    def broker(self, thing: Object) -> Object | None:
        """The broker of its class."""
        return self._context.known.broker_of(thing)

    def next_step(self, thing: Object, world: World) -> Step:
        """What is done next."""
        return instances.next_step(thing, world)

    def after(self, thing: Object, call: Call, outcome: Outcome, world: World) -> Step:
        """What the broker's answer makes of it."""
        return instances.after(thing, call, outcome, world)


async def namespace_of(context: Context, thing: Object) -> Object | None:
    """The object's namespace. Watches of different kinds may be of different age, so one that is not known is asked for."""
    name = thing["metadata"]["namespace"]
    known = context.known.get("Namespace", "", name)
    if known is None:
        try:
            known = await objects.read(context.api, resources.NAMESPACES, None, name)
        except errors.NotFound:
            return None
        context.known.put(known)
    return known
