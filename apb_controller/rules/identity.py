"""Originating identity: who asked, as the broker is told."""

import base64
import json
from typing import Any

from apb_controller.rules.steps import Blocked

FIELDS = ("username", "uid", "groups", "extra")


def header(user: Any) -> str | None:
    """The value of `X-Broker-API-Originating-Identity` (OSB 2.17, platform kubernetes); None when nobody is known.

    Raises Blocked for what is no user.
    """
    if not user:
        return None
    if not isinstance(user, dict) or not isinstance(user.get("username"), str):
        raise Blocked("ErrorWithOriginatingIdentity", "Error building originating identity headers: userInfo has no username")
    told = {name: user[name] for name in FIELDS if user.get(name)}
    return "kubernetes " + base64.b64encode(json.dumps(told, separators=(",", ":")).encode()).decode()
