"""What a request works with."""

from flask import current_app

from apb_broker.lifecycle.broker import Broker


def broker() -> Broker:
    """The broker of the application that answers this request."""
    found: Broker = current_app.extensions["apb"]
    return found
