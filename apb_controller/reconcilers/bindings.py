"""ServiceBinding: what surrounds one."""

import uuid
from typing import Any

from apb_controller.kube import errors, objects, resources
from apb_controller.reconcilers import instances
from apb_controller.reconcilers.context import Context
from apb_controller.reconcilers.secrets import Sources, Texts
from apb_controller.rules import bindings
from apb_controller.rules.answers import Call, Outcome
from apb_controller.rules.bindings import bind
from apb_controller.rules.bindings.world import World
from apb_controller.rules.steps import Step

Object = dict[str, Any]


class Bindings:
    """The kind, as the shell asks for it."""

    kind = "ServiceBinding"

    def __init__(self, context: Context) -> None:
        self._context = context

    async def prepare(self, thing: Object) -> Object | None:
        """The namespace, and the instance: a binding without one is let go, so only the API server itself is believed that there is none.

        Raises KubeError.
        """
        if self._instance(thing) is None and (name := thing["spec"]["instanceRef"]["name"]):
            try:
                found = await objects.read(self._context.api, resources.INSTANCES, thing["metadata"]["namespace"], name)
                self._context.known.put(found)
            except errors.NotFound:
                pass
        return await instances.namespace_of(self._context, thing)

    def world(self, thing: Object, sources: Sources, around: Object | None) -> World:
        """What surrounds the binding now."""
        known, instance = self._context.known, self._instance(thing)
        classes, plans = known.choices(instance) if instance else ([], [])
        return World(
            now=self._context.now(),
            instance=instance,
            classes=classes,
            plans=plans,
            broker=known.broker_of(instance) if instance else None,
            namespace=around,
            secret=known.get("Secret", thing["metadata"]["namespace"], bind.secret_name(thing)),
            secrets=Texts(sources),
            sources=sources,
            cluster_id=self._context.cluster_id,
            new_id=str(uuid.uuid4()),
            limits=self._context.settings.limits,
            leading_since=self._context.leading_since,
        )

    def broker(self, thing: Object) -> Object | None:
        """The broker of its instance's class."""
        instance = self._instance(thing)
        return self._context.known.broker_of(instance) if instance else None

    def next_step(self, thing: Object, world: World) -> Step:
        """What is done next."""
        return bindings.next_step(thing, world)

    def after(self, thing: Object, call: Call, outcome: Outcome, world: World) -> Step:
        """What the broker's answer makes of it."""
        return bindings.after(thing, call, outcome, world)

    def _instance(self, thing: Object) -> Object | None:
        return self._context.known.get("ServiceInstance", thing["metadata"]["namespace"], thing["spec"]["instanceRef"]["name"])
