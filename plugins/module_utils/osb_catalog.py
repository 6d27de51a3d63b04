"""What a broker offers."""

from __future__ import annotations

from ansible_collections.apb.catalog.plugins.module_utils import osb

SPEC = dict(**osb.SPEC, service=dict(type="str"))
RULES = osb.LOGIN


def work(params: dict, check_mode: bool) -> dict:
    """The services, all or the one of that name or id. Raises osb.OsbError."""
    services = osb.connect(params).catalog()
    if params["service"]:
        services = [osb.service(services, params["service"])]
    return {"changed": False, "services": services}
