"""How the broker's processes log: constant messages with keys and values; lines for people on a terminal, JSON for programs."""

import json
import sys
from typing import Any

import structlog


def configure() -> None:
    """To stderr. Tracebacks are plain ones: richer ones show local variables, and with them secrets."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(is_terminal=sys.stderr.isatty()),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _renderers(*, is_terminal: bool) -> list[structlog.typing.Processor]:
    if is_terminal:
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_as_json)]


_encoder = json.JSONEncoder(ensure_ascii=False, default=repr)  # made once, not for each line


def _as_json(event: structlog.typing.EventDict, **_options: Any) -> str:
    return _encoder.encode(event)
