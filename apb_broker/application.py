"""The Flask application of one broker: its two interfaces, and what holds for every request."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from apb_broker import admin, osb
from apb_broker.admin import description as of_admin
from apb_broker.catalog.config import Config
from apb_broker.lifecycle.broker import Broker
from apb_broker.osb import description as of_osb
from apb_broker.web import authentication, errors, health, metrics, openapi, paths, rendering, requestlog, slices, values

MAX_BODY_BYTES = 1024 * 1024


def create(broker: Broker, config: Config) -> Flask:
    """An application that parses and renders; the rules are `broker`'s."""
    app = Flask("apb_broker", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # a method that no route has is a 405 in JSON, this one too
    app.json = rendering.Json(app)
    app.ensure_sync = _as_it_is  # type: ignore[method-assign,assignment]
    parts = {name: replace(broker, catalog=broker.catalog.slice(part.services)) for name, part in config.brokers.items()}
    app.extensions["apb"] = {None: broker, **parts}
    requestlog.register(app)
    metrics.register(app)
    errors.register(app)
    authentication.register(app, config)
    slices.register(app, parts)
    paths.register(app)
    if config.behind_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    osb.register(app)
    admin.register(app)
    app.register_blueprint(health.blueprint)
    values.register(app)
    openapi.register(app, {**of_osb.OPERATIONS, **of_admin.OPERATIONS})
    return app


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """None of ours is asynchronous; Flask would look at each, for each request."""
    return function
