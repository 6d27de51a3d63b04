"""The Flask application of one broker: its two interfaces, and what holds for every request."""

from http import HTTPStatus
from typing import Any

from flask import Flask

from apb_broker import admin, osb
from apb_broker.catalog.config import Config
from apb_broker.lifecycle.broker import Broker
from apb_broker.web import authentication, errors, paths

MAX_BODY_BYTES = 1024 * 1024


def create(broker: Broker, config: Config) -> Flask:
    """An application that parses and renders; the rules are `broker`'s."""
    app = Flask("apb_broker", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # a method that no route has is a 405 in JSON, this one too
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["apb"] = broker
    errors.register(app)
    authentication.register(app, config.users)
    paths.register(app)
    osb.register(app)
    admin.register(app)

    @app.get("/livez")
    def live() -> tuple[dict[str, Any], int]:
        """Whether this process can do its work: the database answers."""
        broker.database.ping()
        return {"status": "ok"}, HTTPStatus.OK

    return app
