"""The id of this cluster, which brokers are told: made once, kept in the ConfigMap that upstream keeps it in."""

import uuid

from apb_controller.kube import errors, objects, resources
from apb_controller.kube.api import Api

NAME, KEY = "cluster-info", "id"


async def found_or_made(api: Api, namespace: str) -> str:
    """Raises KubeError."""
    try:
        there = await objects.read(api, resources.CONFIG_MAPS, namespace, NAME)
    except errors.NotFound:
        try:
            made = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": NAME, "namespace": namespace},
                "data": {KEY: str(uuid.uuid4())},
            }
            there = await objects.create(api, resources.CONFIG_MAPS, made)
        except errors.AlreadyExists:
            there = await objects.read(api, resources.CONFIG_MAPS, namespace, NAME)
    cluster_id = (there.get("data") or {}).get(KEY)
    if not cluster_id:
        raise errors.Refused(f'ConfigMap "{namespace}/{NAME}" has no key "{KEY}": put the id of this cluster there, or delete it')
    return str(cluster_id)
