"""Objects of an API server: one at a time, all of a kind, and what becomes of them."""

import random
from collections.abc import AsyncIterator
from typing import Any

from apb_controller.kube import errors
from apb_controller.kube.api import AGENT, Api
from apb_controller.kube.patches import Operations
from apb_controller.kube.resources import Resource

Object = dict[str, Any]
PAGE = 500
WATCH_SECONDS = (240, 300)  # the server ends a watch after that time; it is resumed then
SILENCE_SECONDS = 120  # bookmarks come about every minute: longer silence is a dead connection
MANAGER = {"fieldManager": AGENT}
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


async def read(api: Api, resource: Resource, namespace: str | None, name: str) -> Object:
    """One object. Raises KubeError."""
    return trimmed(await api.call("GET", resource, resource.path(namespace, name)))


async def create(api: Api, resource: Resource, thing: Object) -> Object:
    """Makes it; the object as the server has it. Raises KubeError: AlreadyExists among them."""
    path = resource.path(thing["metadata"].get("namespace"))
    return trimmed(await api.call("POST", resource, path, query=MANAGER, body=thing))


async def patch(api: Api, resource: Resource, thing: Object, operations: Operations, subresource: str | None = None) -> Object:
    """Changes it; the object as the server has it then. Raises KubeError: Conflict when it was not that of `operations` any more."""
    path = resource.path(thing["metadata"].get("namespace"), thing["metadata"]["name"], subresource)
    return trimmed(await api.call("PATCH", resource, path, query=MANAGER, body=operations))


async def delete(
    api: Api, resource: Resource, namespace: str | None, name: str, uid: str | None, version: str | None = None
) -> Object | None:
    """Deletes it, if it is still that of `uid` (and `version`). What is left of it for others to finish; None when it has gone.

    Raises KubeError: Conflict when another one has the name.
    """
    conditions = {name: value for name, value in (("uid", uid), ("resourceVersion", version)) if value}
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": conditions, "propagationPolicy": "Background"}
    try:
        left: Object = await api.call("DELETE", resource, resource.path(namespace, name), body=body)
    except errors.NotFound:
        return None
    return trimmed(left) if "resourceVersion" in left.get("metadata", {}) and left["metadata"].get("finalizers") else None


async def all_of(api: Api, resource: Resource) -> tuple[list[Object], str]:
    """All objects of a kind, read in pages, and the version of the list. Raises KubeError: Expired when a page came too late."""
    found: list[Object] = []
    query = {"limit": str(PAGE)}
    while True:
        answer = await api.call("GET", resource, resource.path(), query=query, is_list=True)
        found += [trimmed(each) for each in answer["items"] or ()]  # null for none, of metadata
        following = answer["metadata"].get("continue")
        if not following:
            return found, answer["metadata"]["resourceVersion"]
        query = {"limit": str(PAGE), "continue": following}


async def changes_since(api: Api, resource: Resource, version: str) -> AsyncIterator[tuple[str, Object]]:
    """What happens to the objects of a kind after that version: ADDED, MODIFIED, DELETED, and BOOKMARK, which only moves the version.

    Ends when the server ends it. Raises KubeError: Expired when the version is too old.
    """
    query = {
        "watch": "1",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(random.randint(*WATCH_SECONDS)),  # noqa: S311 - spreads them, secures nothing
    }
    async for event in api.stream(resource, resource.path(), query, SILENCE_SECONDS):
        if event["type"] == "ERROR":
            said = event["object"]
            raise errors.of_status(said.get("code") or 0, said.get("reason") or "", said.get("message") or "the watch failed")
        yield event["type"], trimmed(event["object"])


def trimmed(thing: Object) -> Object:
    """Without what nobody here looks at, and which is a third of an object."""
    metadata = thing.get("metadata") or {}
    metadata.pop("managedFields", None)
    if APPLIED in (metadata.get("annotations") or {}):
        del metadata["annotations"][APPLIED]
    return thing
