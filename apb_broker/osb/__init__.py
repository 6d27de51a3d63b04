"""Open Service Broker 2.17 over Flask: bodies, headers, routes. It parses and renders; `apb_broker.lifecycle` decides."""

from flask import Flask

from apb_broker.osb import headers, routes


def register(app: Flask) -> None:
    """Adds the ten routes below /v2, and what holds for all of them."""
    headers.register(app)
    app.register_blueprint(routes.blueprint)
