"""Looks at instances and bindings: one code path, which is given the rules of the kind and what surrounds its objects.

Secrets are bindings' alone: only their rules ask for one.
"""

from collections.abc import Callable
from typing import Any, Protocol

import structlog

from apb_controller.kube import errors
from apb_controller.reconcilers.calls import Calls
from apb_controller.reconcilers.context import Context
from apb_controller.reconcilers.secrets import NotRead, Secrets, Sources
from apb_controller.reconcilers.writes import Writes
from apb_controller.rules import bindings
from apb_controller.rules.answers import Call, Outcome
from apb_controller.rules.steps import Request, Step
from apb_controller.runtime.looks import NOT_AGAIN, Again
from apb_controller.runtime.queue import Key

Object = dict[str, Any]
AT_ONCE = Again(0)
WAITS_FOR_TURN = Again(is_waiting_for_turn=True)
MOST_REPEATS = 5  # of a write that somebody else's writes get in the way of

log = structlog.get_logger("apb.controller")


class Subject(Protocol):
    """A kind: its rules, and what surrounds its objects. `W` is the rules' World."""

    kind: str

    async def prepare(self, thing: Object) -> Object | None:
        """Reads what the rules must be sure of."""

    def world(self, thing: Object, sources: Sources, around: Object | None) -> Any:
        """What surrounds the object now."""

    def broker(self, thing: Object) -> Object | None:
        """Whom its requests go to."""

    def next_step(self, thing: Object, world: Any) -> Step:
        """The rules' next step."""

    def after(self, thing: Object, call: Call, outcome: Outcome, world: Any) -> Step:
        """What the rules make of an answer."""


class Shell:
    """Of one kind, for one term as leader."""

    def __init__(self, context: Context, subject: Subject, calls: Calls) -> None:
        self._context, self._subject, self._calls = context, subject, calls
        self._writes, self._secrets = Writes(context), Secrets(context)

    async def look(self, key: Key) -> Again:
        """One look. Raises KubeError and NotLeading."""
        thing = self._context.known.get(*key)
        if thing is None:
            return NOT_AGAIN
        seen = thing
        step = await self._asked(seen, lambda world: self._subject.next_step(seen, world))
        if step.request is not None and not self._has_turn(key, thing):
            return WAITS_FOR_TURN
        try:
            return await self._carry_out(key, thing, step)
        except errors.Conflict:
            await self._writes.fresh(thing)
            return AT_ONCE

    async def _asked(self, thing: Object, question: Callable[[Any], Step]) -> Step:
        """The rules' answer. Secrets are read when they ask for one, not before: hardly any look needs them."""
        around, sources = await self._subject.prepare(thing), Sources()
        while True:
            try:
                return question(self._subject.world(thing, sources, around))
            except NotRead as missing:
                sources.read[missing.name] = await self._secrets.data(thing["metadata"]["namespace"], missing.name)

    def _has_turn(self, key: Key, thing: Object) -> bool:
        broker = self._subject.broker(thing)
        return broker is None or self._calls.has_turn(key, broker)

    async def _carry_out(self, key: Key, thing: Object, step: Step) -> Again:
        """Writes, then deletions, then a call or a pause. A write is followed by the look that its change leads to."""
        thing = await self._writes.step(thing, step)
        if step.deletions:
            return await self._delete(thing, step)
        if step.request is not None:
            return await self._call(key, thing, step.request)
        return Again(step.wait_seconds)

    async def _call(self, key: Key, thing: Object, request: Request) -> Again:
        broker = self._subject.broker(thing)
        if broker is None:
            return AT_ONCE  # it went in this very moment: the rules say what that means
        outcome = await self._calls.ask(broker, request)
        return await self._hear(key, thing, request, outcome)

    async def _hear(self, key: Key, thing: Object, request: Request, outcome: Outcome) -> Again:
        """Writes what became of the object. When it was changed meanwhile, by its user, that is asked for the object as it is now."""
        status = thing.get("status")
        for _ in range(MOST_REPEATS):
            seen = thing
            step = await self._asked(seen, lambda world: self._subject.after(seen, request.call, outcome, world))  # noqa: B023
            if step.secret is not None:
                written = await self._keep(thing, step.secret)
                if written is None:
                    continue
                step = written
            try:
                return await self._carry_out(key, thing, step)
            except errors.Conflict:
                found = await self._writes.fresh(thing)
            if found is None or found.get("status") != status:
                log.info("an answer is not written: the status is not that of the request any more", call=request.call.value)
                return AT_ONCE
            thing = found
        return AT_ONCE

    async def _keep(self, thing: Object, secret: Object) -> Step | None:
        """Writes the Secret of a binding: what the rules make of that; None when they are to be asked again, for another one is there."""
        try:
            if not await self._secrets.write(thing, secret):
                return None
            error = None
        except errors.Refused as refused:
            error = str(refused)
        return await self._asked(thing, lambda world: bindings.after_secret(thing, error, world))

    async def _delete(self, thing: Object, step: Step) -> Again:
        others = tuple(each for each in step.deletions if each.kind != "Secret")
        await self._writes.delete_all(thing["metadata"]["namespace"], others)
        secrets = [each for each in step.deletions if each.kind == "Secret"]
        try:
            for each in secrets:
                await self._secrets.delete(thing, each)
        except errors.Refused as refused:
            error = str(refused)
            failed = await self._asked(thing, lambda world: bindings.after_deletion(thing, error, world))
            await self._writes.step(thing, failed)
        return AT_ONCE if secrets else Again(step.wait_seconds)
