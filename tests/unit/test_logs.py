"""Logs hold what happened, and no local variable of where it happened."""

import io
import sys

import pytest
import structlog

from apb_broker import logs


class Terminal(io.StringIO):
    """A stderr that people look at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_logged_error_shows_no_local_variables(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal as in a file: message and traceback, not the values around them."""
    error_output = stream()
    monkeypatch.setattr(sys, "stderr", error_output)
    logs.configure()
    password = "canary-" + "in-a-variable"
    try:
        raise ValueError(f"no value of {len(password)} characters")
    except ValueError as error:
        structlog.get_logger("test").error("request failed", exc_info=error)
    structlog.reset_defaults()
    assert "request failed" in error_output.getvalue()
    assert "no value of" in error_output.getvalue()
    assert password not in error_output.getvalue()
