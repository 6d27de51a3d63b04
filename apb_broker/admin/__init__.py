"""The operator's HTTP API, /admin/v1: instances, operations and their logs. Never a secret."""

from flask import Flask

from apb_broker.admin import routes


def register(app: Flask) -> None:
    """Adds the routes below /admin/v1."""
    app.register_blueprint(routes.blueprint)
