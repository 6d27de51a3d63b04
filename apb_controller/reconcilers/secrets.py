"""Secrets: read when a rule asks for one, written and deleted only while they are the binding's own."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from apb_controller.kube import errors, objects, patches, resources
from apb_controller.kube.resources import Resource
from apb_controller.reconcilers.context import Context
from apb_controller.rules.bindings import world as surroundings
from apb_controller.rules.steps import Deletion

Object = dict[str, Any]
WHOLE = Resource("", "v1", "Secret", "secrets")


class NotRead(Exception):
    """A rule asks for a Secret that is not read yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Sources(Mapping[str, Mapping[str, str]]):
    """Secrets of one namespace, name -> data in base64, as far as they are read. Raises NotRead for others."""

    def __init__(self) -> None:
        self.read: dict[str, Mapping[str, str] | None] = {}

    def __getitem__(self, name: str) -> Mapping[str, str]:
        if name not in self.read:
            raise NotRead(name)
        found = self.read[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.read)

    def __len__(self) -> int:
        return len(self.read)


class Texts(Mapping[tuple[str, str], str]):
    """The same by (name, key) -> text."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def __getitem__(self, name: tuple[str, str]) -> str:
        return base64.b64decode(self._sources[name[0]][name[1]]).decode(errors="replace")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, key) for name, data in self._sources.items() for key in data)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Secrets:
    """Of one term as leader."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def data(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """What a Secret holds, in base64; None if there is none. Raises KubeError."""
        try:
            return (await objects.read(self._context.api, WHOLE, namespace, name)).get("data") or {}
        except errors.NotFound:
            return None

    async def write(self, binding: Object, secret: Object) -> bool:
        """Makes or changes the binding's Secret; no, when what is there is not what was known: then the rules are to be asked again.

        Raises KubeError: Refused when it may not be written.
        """
        self._context.require_leading()
        metadata = secret["metadata"]
        there = self._context.known.get("Secret", metadata["namespace"], metadata["name"])
        try:
            if there is None:
                written = await objects.create(self._context.api, resources.SECRETS, secret)
            elif not surroundings.is_owned(there, binding):
                return False
            else:
                changed = patches.of_content(there, parts={"data": secret["data"]})
                written = await objects.patch(self._context.api, resources.SECRETS, there, changed)
        except (errors.AlreadyExists, errors.Conflict, errors.NotFound):
            await self._look_again(metadata["namespace"], metadata["name"], there)
            return False
        self._context.known.put(written)
        return True

    async def delete(self, binding: Object, deletion: Deletion) -> bool:
        """Deletes the binding's Secret, if it still is the one that was known, and the binding's; no, when it is not. Raises KubeError."""
        self._context.require_leading()
        namespace = binding["metadata"]["namespace"]
        there = self._context.known.get("Secret", namespace, deletion.name)
        if there is None or there["metadata"]["uid"] != deletion.uid or not surroundings.is_owned(there, binding):
            return False
        version = there["metadata"]["resourceVersion"]
        try:
            await objects.delete(self._context.api, resources.SECRETS, namespace, deletion.name, deletion.uid, version)
        except errors.Conflict:
            await self._look_again(namespace, deletion.name, there)
            return False
        self._context.known.gone(there)
        return True

    async def _look_again(self, namespace: str, name: str, there: Object | None) -> None:
        try:
            self._context.known.put(await objects.read(self._context.api, resources.SECRETS, namespace, name))
        except errors.NotFound:
            if there is not None:
                self._context.known.gone(there)
