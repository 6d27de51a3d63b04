"""Exit codes, and what ends a command with one of them. How a failure is printed is left to `main`."""

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code of `apb` says. Scripts rely on these numbers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    NOT_AUTHORISED = 6
    FOUND = 7
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILED: "the operation failed, or the broker did (5xx)",
    Exit.USAGE: "the command line is wrong",
    Exit.NOT_FOUND: "there is no such service, plan, instance, binding or operation",
    Exit.REFUSED: "the broker refused the request as invalid or not possible now (4xx), or the name is taken",
    Exit.UNREACHABLE: "the broker cannot be reached",
    Exit.NOT_AUTHORISED: "user name or password is wrong or may not do this",
    Exit.FOUND: "`apb doctor` has found something",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; an operation that was accepted goes on",
}


class Failure(Exception):
    """The command ends: a sentence for the user, and the exit code."""

    exit = Exit.FAILED


class Usage(Failure):
    """The command line is wrong in a way that only its meaning shows."""

    exit = Exit.USAGE


class NotFound(Failure):
    """There is nothing of that name or id."""

    exit = Exit.NOT_FOUND


class Refused(Failure):
    """The request is invalid or cannot be carried out now."""

    exit = Exit.REFUSED


class Unreachable(Failure):
    """The broker gives no answer, or not one of a broker."""

    exit = Exit.UNREACHABLE


class AnswerLost(Unreachable):
    """The request may have reached the broker, its answer did not reach us."""


class Unavailable(Unreachable):
    """The broker answers that it cannot work just now."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotAuthorised(Failure):
    """The broker does not know us, or does not let us."""

    exit = Exit.NOT_AUTHORISED


class Found(Failure):
    """What was looked for is there."""

    exit = Exit.FOUND


class Interrupted(Failure):
    """Ctrl-C."""

    exit = Exit.INTERRUPTED
