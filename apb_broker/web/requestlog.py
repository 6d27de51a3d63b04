"""One line in the log for each request: what was asked by whom, and how it was answered. Never a body, a query or a header's secret.

What else is logged while a request is served carries its ids too.
"""

import time

import structlog
from flask import Flask, Response, g

from apb_broker.web import current

REQUEST_IDENTITY = "X-Broker-API-Request-Identity"
LONGEST = 200  # of what strangers choose
QUIET = frozenset({"/livez", "/readyz", "/metrics"})

log = structlog.get_logger("apb.web")


def register(app: Flask) -> None:
    """Logs every request but probes that went well."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        asked = current.asked()
        identity = asked.headers.get(REQUEST_IDENTITY)
        if asked.view_args or identity:
            known = {**(asked.view_args or {}), "request_id": identity}
            structlog.contextvars.bind_contextvars(**{name: _short(value) for name, value in known.items() if value})

    @app.after_request
    def tell(response: Response) -> Response:
        asked = current.asked()
        route = asked.url_rule.rule if asked.url_rule is not None else None
        if route not in QUIET or response.status_code >= 400:
            log.info(
                "request",
                method=_short(asked.method),
                route=route,
                status=response.status_code,
                seconds=round(time.perf_counter() - g.began, 4),
                user=g.get("user"),
                client=asked.remote_addr,
            )
        return response


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
