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


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_logged_value_begins_no_line_and_steers_no_terminal(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids and names are whatever a platform sends: one event is one line, and escape sequences are shown, not carried out."""
    error_output = stream()
    monkeypatch.setattr(sys, "stderr", error_output)
    logs.configure()
    structlog.get_logger("test").info("request", instance_id="a\n2026-01-01 [info] worker stopped\r\x1b[2J\x9b31m\u2028\u202e", status=200)
    structlog.reset_defaults()
    said = error_output.getvalue()
    assert len(said.splitlines()) == 1
    shown = said.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "")  # structlog's own colours
    assert "[2J" in shown
    assert "\x1b[2J" not in shown
    assert not set(shown) & set("\r\x9b\u2028\u202e")
