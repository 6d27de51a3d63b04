"""What the options of cluster_service_broker and service_broker mean in a spec."""

from __future__ import annotations

import base64

from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects

SPEC = dict(
    url=dict(type="str"),
    auth_type=dict(type="str", choices=["basic", "bearer"], default="basic"),
    auth_secret=dict(type="str", no_log=False),
    ca_bundle=dict(type="str"),
    insecure_skip_tls_verify=dict(type="bool"),
    relist_behavior=dict(type="str", choices=["Duration", "Manual"]),
    relist_duration=dict(type="str"),
    relist_requests=dict(type="int"),
    class_restrictions=dict(type="list", elements="str"),
    plan_restrictions=dict(type="list", elements="str"),
)
RULES = dict(required_if=[("state", "present", ("url",))])


def fields(params: dict) -> dict:
    """Fields of the spec."""
    return {
        "url": params["url"],
        "authInfo": _login(params),
        "caBundle": _bundle(params["ca_bundle"]),
        "insecureSkipTLSVerify": params["insecure_skip_tls_verify"],
        "relistBehavior": params["relist_behavior"],
        "relistDuration": params["relist_duration"],
        "relistRequests": params["relist_requests"],
        "catalogRestrictions": _restrictions(params),
    }


def _login(params: dict):
    if params["auth_secret"] is None:
        return None
    if not params["auth_secret"]:
        return catalog_objects.REMOVE
    namespace = params.get("auth_secret_namespace")
    reference = {"name": params["auth_secret"], **({"namespace": namespace} if namespace else {})}
    return {params["auth_type"]: {"secretRef": reference}}


def _bundle(text: str | None):
    if text is None:
        return None
    return base64.b64encode(text.encode()).decode() if text else catalog_objects.REMOVE


def _restrictions(params: dict):
    given = {"serviceClass": params["class_restrictions"], "servicePlan": params["plan_restrictions"]}
    if given["serviceClass"] is None and given["servicePlan"] is None:
        return None
    return catalog_objects.or_remove({name: value for name, value in given.items() if value})
