"""Probes: whether this process lives, and whether it may be sent requests."""

from typing import Any

from flask import Blueprint

from apb_broker.lifecycle import fleet
from apb_broker.web.current import broker

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def live() -> dict[str, Any]:
    """That this process answers at all: to restart it would not mend a database."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def ready() -> dict[str, Any]:
    """That requests can be accepted: the database answers and has this release's tables. Without a worker they wait."""
    fleet.require_current(broker())
    return {"status": "ok", "workers": fleet.alive(broker())}
