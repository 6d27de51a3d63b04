"""What an API server refuses, by what can be done about it. The message is the server's own sentence."""

import json


class KubeError(Exception):
    """The API server did not do what it was asked for."""

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after  # seconds


class NotFound(KubeError):
    """There is no such object."""


class AlreadyExists(KubeError):
    """There is an object of that name already."""


class Conflict(KubeError):
    """The object is not any more what it was when it was read."""


class Expired(KubeError):
    """The server does not remember that far back: list again."""


class Refused(KubeError):
    """The request is not allowed, or makes no sense to the server: the same again is refused again, until somebody changes something."""


class Forbidden(Refused):
    """The controller may not do this: its rights are too few, or the server has just begun and does not know them yet."""


class Unavailable(KubeError):
    """The server could not be reached, is too busy or broke down. A write may have been carried out."""


_BY_STATUS: dict[int, type[KubeError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Expired,
    429: Unavailable,
}


def of_answer(status: int, body: bytes, retry_after: str | None = None) -> KubeError:
    """The error that an answer of 400 or more is.

    That something is not there is believed only of who says so: a server that does not serve the kind (yet, or any more), and whoever may
    stand before it, answers 404 as well.
    """
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    message = str(said.get("message") or f"the API server answered {status}")
    if status == 404 and said.get("reason") != "NotFound":
        return Unavailable(message, status)
    return of_status(status, str(said.get("reason") or ""), message, float(retry_after) if retry_after and retry_after.isdigit() else None)


def of_status(status: int, reason: str, message: str, retry_after: float | None = None) -> KubeError:
    """The error of a `Status` object, as watches tell it too."""
    if reason == "AlreadyExists":
        return AlreadyExists(message, status)
    made = _BY_STATUS.get(status) or (Unavailable if status >= 500 else Refused)
    return made(message, status, retry_after)
