"""Waiting for an operation: its log is shown as it comes, OSB's last_operation decides how it ended."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from apb_cli import errors
from apb_cli.output import Output

if TYPE_CHECKING:
    from apb_cli import http

LONG_POLL_SECONDS = 20
PATIENCE_SECONDS = 60.0  # how long a broker that restarts is waited for
LONGEST_PAUSE_SECONDS = 2.0
ENDED = ("succeeded", "failed")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pending:
    """An accepted operation: where OSB tells its state, and what it is in words, such as "provision of 'cache'".

    One that an operator asked for, and no platform knows of, has no such place.
    """

    operation_id: str
    subject_path: str | None
    text: str
    removes: bool = False


def settle(client: http.Client, out: Output, pending: Pending, done: str, *, no_wait: bool) -> str:
    """Waits for success, or not; returns the closing sentence. Raises Failure with the operation's error, or Interrupted."""
    if no_wait:
        return f"look at it with: apb logs -f {pending.operation_id}"
    began = time.monotonic()
    try:
        with out.working(f"{pending.text} …"):
            _until_succeeded(client, out, pending)
    except KeyboardInterrupt as error:
        raise errors.Interrupted(
            f"interrupted, but the {pending.text} goes on (operation {pending.operation_id}). "
            f"Look at it with: apb logs -f {pending.operation_id}"
        ) from error
    return f"{done} after {time.monotonic() - began:.0f} s"


def _until_succeeded(client: http.Client, out: Output, pending: Pending) -> None:
    seen = 0
    while True:
        _, seen = follow(client, out, pending.operation_id, seen)
        state, description, pause_seconds = patiently(out, functools.partial(_last_operation, client, pending))
        if state == "succeeded":
            return
        if state == "failed":
            raise errors.Failure(f"{pending.text} failed: {description or 'no reason is given'}")
        time.sleep(pause_seconds)  # the log ended and the state is to follow


def _last_operation(client: http.Client, pending: Pending) -> tuple[str, str, float]:
    """State, description, and the seconds to wait before asking again."""
    if pending.subject_path is None:
        operation = client.operation(pending.operation_id)
        return operation["state"], operation["error"], 1
    try:
        answer = client.call("GET", f"{pending.subject_path}/last_operation", query={"operation": pending.operation_id})
    except errors.NotFound:
        if pending.removes:  # OSB lets a broker say "gone" for a removal that is done
            return "succeeded", "", 0
        raise
    return answer.body.get("state", ""), answer.body.get("description", ""), answer.retry_after_seconds


def follow(client: http.Client, out: Output, operation_id: str, seen: int = 0) -> tuple[str, int]:
    """Shows the lines of a log after number `seen` until the operation has ended; returns its state and the last number."""
    while True:
        answer = patiently(out, functools.partial(client.log, operation_id, after=seen, wait_seconds=LONG_POLL_SECONDS))
        for line in answer["lines"]:
            out.progress(line["text"])
            seen = line["seq"]
        if answer["state"] in ENDED:
            return answer["state"], seen


def patiently(out: Output, call: Callable[[], Result]) -> Result:
    """A call that only reads, made again while the broker is away, for a minute at most."""
    give_up, pause, told = time.monotonic() + PATIENCE_SECONDS, 0.1, False
    while True:
        try:
            return call()
        except errors.Unreachable as error:
            wanted = error.retry_after_seconds if isinstance(error, errors.Unavailable) else pause
            if time.monotonic() + wanted >= give_up:
                raise
            if not told:
                out.note(f"the broker does not answer; trying again for {PATIENCE_SECONDS:.0f} s")
                told = True
            time.sleep(wanted)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
