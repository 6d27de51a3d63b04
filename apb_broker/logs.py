"""How the broker's processes log: constant messages with keys and values; lines for people on a terminal, JSON for programs."""

import json
import re
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
        return [_harmless, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_as_json)]


def _harmless(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What others wrote, escaped as in JSON: it is to begin no line of its own, and not to steer the terminal."""
    return {name: _CONTROL.sub(_escaped, value) if isinstance(value, str) else value for name, value in event.items()}


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_encoder = json.JSONEncoder(ensure_ascii=False, default=repr)  # made once, not for each line


def _as_json(event: structlog.typing.EventDict, **_options: Any) -> str:
    text = _encoder.encode(event)
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)  # of these JSON itself leaves some as they are
