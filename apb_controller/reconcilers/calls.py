"""Calls of brokers: where they are, how one logs in, and what their answers mean."""

import base64
import binascii
import time
from collections.abc import Mapping
from typing import Any

from apb_controller import metrics
from apb_controller.osbclient.client import Basic, Bearer, Client, Endpoint
from apb_controller.reconcilers.context import Context
from apb_controller.reconcilers.known import login_secret
from apb_controller.reconcilers.secrets import Secrets
from apb_controller.rules import answers
from apb_controller.rules.answers import Answer, Outcome, Trouble
from apb_controller.rules.steps import Request
from apb_controller.runtime.looks import Looks
from apb_controller.runtime.queue import Key
from apb_controller.runtime.turns import Turns

Object = dict[str, Any]
Login = Basic | Bearer | None


class LoginError(Exception):
    """The login of a broker cannot be read. The message names the Secret and the key."""


class Calls:
    """Of one term as leader."""

    def __init__(self, context: Context, client: Client, turns: Turns, looks: Looks) -> None:
        self._context, self._client, self._turns, self._looks = context, client, turns, looks
        self._secrets = Secrets(context)
        self._logins: dict[tuple[str, str, str], tuple[str, Login]] = {}

    def has_turn(self, key: Key, broker: Object) -> bool:
        """Whether the broker may be called for that object now; otherwise it is looked at again when it may."""
        return self._turns.take(shown(broker), key)

    async def ask(self, broker: Object, request: Request) -> Outcome:
        """What the broker makes of the request. Raises NotLeading, and KubeError before anything is sent."""
        try:
            endpoint = await self._endpoint(broker)
        except LoginError as error:
            words = f"Error getting broker auth credentials for broker {broker['metadata']['name']}: {error}"
            return self._outcome(request, Answer(trouble=Trouble.UNREACHABLE, error=words))
        self._context.require_leading()
        began = time.monotonic()
        answer = await self._looks.elsewhere(self._client.send(endpoint, request))
        metrics.BROKER_SECONDS.labels(shown(broker), request.call.value).observe(time.monotonic() - began)
        metrics.BROKER_REQUESTS.labels(shown(broker), request.method, answer.status or (answer.trouble or Trouble.BROKEN).value).inc()
        return self._outcome(request, answer)

    async def login_error(self, broker: Object) -> str | None:
        """Why the broker's login cannot be read; None if it can. Raises KubeError."""
        try:
            await self._login(broker)
        except LoginError as error:
            return str(error)
        return None

    def _outcome(self, request: Request, answer: Answer) -> Outcome:
        return answers.classified(request.call, answer, self._context.now(), may_be_async=request.may_be_async)

    async def _endpoint(self, broker: Object) -> Endpoint:
        spec = broker["spec"]
        try:
            authorities = base64.b64decode(spec["caBundle"], validate=True) if spec.get("caBundle") else None
        except (binascii.Error, ValueError):
            raise LoginError("spec.caBundle is no base64") from None
        return Endpoint(spec["url"], await self._login(broker), authorities, bool(spec.get("insecureSkipTLSVerify")))

    async def _login(self, broker: Object) -> Login:
        """The login; read again only when its Secret has changed."""
        place = login_secret(broker)
        if place is None:
            return None
        there = self._context.known.get("Secret", *place)
        version = there["metadata"]["resourceVersion"] if there else ""
        key = (*place, "bearer" if "bearer" in broker["spec"]["authInfo"] else "basic")
        known = self._logins.get(key)
        if there is None or known is None or known[0] != version:
            known = self._logins[key] = (version, _read(await self._data(*place), place, is_bearer=key[2] == "bearer"))
        return known[1]

    async def _data(self, namespace: str, name: str) -> Mapping[str, str]:
        data = await self._secrets.data(namespace, name)
        if data is None:
            raise LoginError(f'secrets "{name}" not found in namespace "{namespace}"')
        return data


def shown(broker: Object) -> str:
    """The broker, in metrics and as the one whose turns they are."""
    metadata = broker["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def _read(data: Mapping[str, str], place: tuple[str, str], *, is_bearer: bool) -> Login:
    def text(key: str) -> str:
        if key not in data:
            raise LoginError(f'auth secret "{place[0]}/{place[1]}" has no key "{key}"')
        return base64.b64decode(data[key]).decode(errors="replace")

    return Bearer(text("token")) if is_bearer else Basic(text("username"), text("password"))
