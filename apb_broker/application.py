"""The Flask application of one broker: its two interfaces, and what holds for every request."""

from flask import Flask

from apb_broker import admin, osb
from apb_broker.catalog.config import Config
from apb_broker.lifecycle.broker import Broker
from apb_broker.web import authentication, errors, health, metrics, paths, requestlog

MAX_BODY_BYTES = 1024 * 1024


def create(broker: Broker, config: Config) -> Flask:
    """An application that parses and renders; the rules are `broker`'s."""
    app = Flask("apb_broker", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["apb"] = broker
    requestlog.register(app)
    metrics.register(app)
    paths.register(app)
    errors.register(app)
    authentication.register(app, config.users)
    osb.register(app)
    admin.register(app)
    app.register_blueprint(health.blueprint)
    return app
