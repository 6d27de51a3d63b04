"""Requests of the Open Service Broker API 2.17, as they are asked for instances and bindings."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from apb_controller.rules.answers import Call
from apb_controller.rules.steps import Blocked, Object, Request

ASYNC = {"accepts_incomplete": "true"}
METHODS = {
    Call.PROVISION: "PUT",
    Call.UPDATE: "PATCH",
    Call.DEPROVISION: "DELETE",
    Call.BIND: "PUT",
    Call.UNBIND: "DELETE",
    Call.LAST_OPERATION: "GET",
    Call.GET_BINDING: "GET",
    Call.CATALOG: "GET",
}
CATALOG = Request(Call.CATALOG, "GET", "/v2/catalog")


def instance_path(instance: Object) -> str:
    """The path of an instance; ids are of any character."""
    return f"/v2/service_instances/{quote(instance['spec']['externalID'], safe='')}"


def binding_path(instance: Object, binding: Object) -> str:
    """The path of a binding."""
    return f"{instance_path(instance)}/service_bindings/{quote(binding['spec']['externalID'], safe='')}"


def request(
    call: Call,
    path: str,
    *,
    identity: str | None = None,
    query: Mapping[str, str | None] | None = None,
    body: Mapping[str, Any] | None = None,
    may_be_async: bool = False,
) -> Request:
    """One call; what is None is left out."""
    given = {**(ASYNC if may_be_async else {}), **{name: value for name, value in (query or {}).items() if value}}
    told = {name: value for name, value in body.items() if value is not None} if body is not None else None
    return Request(call, METHODS[call], path, given, told, identity, may_be_async)


def context(instance: Object, cluster_id: str) -> Object:
    """`context` of platform kubernetes (OSB 2.17, profile.md)."""
    metadata = instance["metadata"]
    return {
        "platform": "kubernetes",
        "namespace": metadata["namespace"],
        "clusterid": cluster_id,
        "instance_name": metadata["name"],
    }


def namespace_uid(namespace: Object | None, name: str) -> str:
    """The space. Raises Blocked when the namespace is not there."""
    if namespace is None:
        raise Blocked("ErrorFindingNamespaceForInstance", f'Failed to get namespace "{name}"')
    return str(namespace["metadata"]["uid"])
