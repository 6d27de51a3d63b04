"""Who calls: HTTP basic authentication against the operator's users, and what their roles let them reach."""

import hashlib
import hmac
from http import HTTPStatus

from flask import Flask, g, request

from apb_broker.catalog.config import User
from apb_broker.web.errors import HttpError

OPEN_PATHS = ("/livez", "/readyz")
ROLE_OF_PREFIX = {"/v2": "platform", "/admin": "operator"}


def register(app: Flask, users: list[User]) -> None:
    """Before anything else of a request is looked at, its caller is known (`g.user`) and allowed."""
    digests = {user.name: _digest(user.password()) for user in users}
    roles = {user.name: set(user.roles) for user in users}

    @app.before_request
    def authenticate() -> None:
        if request.path in OPEN_PATHS:
            return
        given = request.authorization
        name = (given.username if given is not None and given.type == "basic" else None) or ""
        expected = digests.get(name, b"\0" * 32)
        # Both digests are made and compared whoever asks, so that time tells nothing about names.
        if not hmac.compare_digest(_digest((given.password if given is not None else None) or ""), expected) or name not in digests:
            raise HttpError(
                HTTPStatus.UNAUTHORIZED, "user name or password is missing or wrong", headers={"WWW-Authenticate": 'Basic realm="apb"'}
            )
        needed = next((role for prefix, role in ROLE_OF_PREFIX.items() if f"{request.path}/".startswith(f"{prefix}/")), None)
        if needed is not None and needed not in roles[name]:
            raise HttpError(HTTPStatus.FORBIDDEN, f"user '{name}' lacks the role '{needed}'")
        g.user = name


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode()).digest()
