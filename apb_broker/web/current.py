"""What a request works with."""

from flask import current_app

from apb_broker.lifecycle.broker import Broker
from apb_broker.web import slices

Brokers = dict[str | None, Broker]


def broker() -> Broker:
    """The broker that answers this request: the whole, or that of the slice it is for."""
    found: Brokers = current_app.extensions["apb"]
    return found[slices.name()]
