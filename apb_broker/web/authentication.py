"""Who calls: HTTP basic or bearer authentication against the operator's users. What they may call then, `access` says."""

import math
from http import HTTPStatus

from flask import Flask, Request, g

from apb_broker.catalog.config import Config, credentials_of
from apb_broker.web import access, current, slices
from apb_broker.web.errors import HttpError
from apb_broker.web.failed_logins import FailedLogins
from apb_broker.web.logins import Logins, TooMany, Wrong
from apb_broker.web.verified_logins import Login

CHALLENGES = ['Basic realm="apb", charset="UTF-8"', 'Bearer realm="apb"']


def register(app: Flask, config: Config) -> None:
    """Before anything else of a request is looked at, its caller is known (`g.user`) and allowed. Register it before other such steps.

    Raises ConfigError when what a user logs in with is unusable.
    """
    logins = Logins(credentials_of(config.users), FailedLogins(config.settings.failed_logins_per_minute))
    rights = access.rights(config)

    @app.before_request
    def authenticate() -> None:
        asked = current.asked()
        if asked.path in access.OPEN_PATHS:
            return
        user = g.user = _user(logins, asked)
        refusal = rights[user].refusal(asked.method, asked.path, slices.name())
        if refusal is not None:
            raise HttpError(HTTPStatus.FORBIDDEN, refusal)


def _user(logins: Logins, asked: Request) -> str:
    try:
        return logins.user(_login(asked), asked.remote_addr or "")
    except Wrong as error:
        sentence = "user name, password or token is missing or wrong"
        raise HttpError(HTTPStatus.UNAUTHORIZED, sentence, headers={"WWW-Authenticate": CHALLENGES}) from error
    except TooMany as error:
        after = {"Retry-After": str(math.ceil(error.retry_after))}
        raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, f"{error}: try again later", headers=after) from error


def _login(asked: Request) -> Login:
    """What the request carries. Raises Wrong when that is nothing, or nothing that can be read."""
    try:
        given = asked.authorization
    except ValueError as error:  # werkzeug foresees other mistakes in a login than characters beyond ASCII
        raise Wrong from error
    if given is not None and given.type == "basic":
        return Login(given.username or "", given.password or "")
    if given is not None and given.type == "bearer" and given.token:
        return Login(None, given.token)
    raise Wrong
