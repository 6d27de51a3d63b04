"""What a request works with."""

from flask import Request, current_app, request

from apb_broker.lifecycle.broker import Broker
from apb_broker.web import slices

Brokers = dict[str | None, Broker]


def asked() -> Request:
    """The request itself. (What stands for it looks it up at each use, which adds up.)"""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def broker() -> Broker:
    """The broker that answers this request: the whole, or that of the slice it is for."""
    found: Brokers = current_app.extensions["apb"]
    return found[slices.name()]
