"""Waiting: restarts of the broker, Retry-After, Ctrl-C, and what a terminal sees."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest

from apb_cli import waiting

APB = [sys.executable, "-c", "from apb_cli.main import main; main()"]


@pytest.fixture
def whole_environment(environment):
    """For commands in a process of their own."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("APB_")}, **environment}


def restarted(broker, seconds):
    """A hook that takes the broker away while it answers, and brings it back."""

    def hook():
        def restart():
            broker.stop()
            time.sleep(seconds)  # the time it is away is what is tested
            broker.start()

        threading.Thread(target=restart).start()

    return hook


def test_waiting_survives_a_restart(broker, apb):
    """Refused connections are tried again; no line is lost or shown twice."""
    broker.hooks["GET log"] = restarted(broker, 0.5)
    broker.answers["GET log"] = [(200, None, {})]
    result = apb("provision", "redis", "redis-standard", "cache")
    assert result.exit_code == 0, result.output
    assert "the broker does not answer; trying again" in result.stderr
    assert result.stdout.splitlines()[3:5] == ["Start the server", "Publish the result"]


def test_waiting_gives_up_after_its_patience(broker, apb, monkeypatch):
    """Exit code 5 when the broker stays away."""
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.3)
    broker.answers["GET log"] = [(0, None, {})] * 50
    assert apb("provision", "redis", "redis-standard", "cache").exit_code == 5


def test_waiting_honours_retry_after(broker, apb, monkeypatch):
    """As long as last_operation says "in progress", the broker's pause is kept, whatever the log says."""
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    broker.answers["GET last_operation"] = [(200, {"state": "in progress"}, {"Retry-After": "7"})]
    broker.answers["GET log"] = [(503, {"description": "starting"}, {"Retry-After": "3"})]
    assert apb("provision", "redis", "redis-standard", "cache").exit_code == 0
    assert pauses == [3, 7]


def test_last_operation_has_the_last_word(broker, apb):
    """The log's state says succeeded, OSB says failed: failed."""
    broker.answers["GET last_operation"] = [(200, {"state": "failed", "description": "no room"}, {})]
    result = apb("provision", "redis", "redis-standard", "cache")
    assert result.exit_code == 1 and "no room" in result.stderr


@pytest.mark.parametrize("words", [("provision", "redis", "redis-standard", "cache"), ("logs", "-f", "op-1")])
def test_ctrl_c_says_that_the_operation_goes_on(broker, whole_environment, words):
    """Exit code 130 and how to look again; nothing is sent to the broker."""
    if words[0] == "logs":
        broker.add_operation("provision", "i-1")
    reached, leave = threading.Event(), threading.Event()
    broker.hooks["GET log"] = lambda: (reached.set(), leave.wait(20))
    process = subprocess.Popen([*APB, *words], env=whole_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert reached.wait(20)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    finally:
        leave.set()
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "apb logs -f op-1" in stderr and stderr.count("\n") == 1
    assert not broker.sent("DELETE")


def run_on_terminal(words, environment):
    """The output of a command whose stdout is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*APB, *words], env=environment, stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:
        pass  # Linux reports the end of a terminal so
    finally:
        os.close(ours)
        process.wait(20)
    return process.returncode, b"".join(parts).decode()


@pytest.mark.parametrize(("no_colour", "has_colour"), [("", True), ("1", False)])
def test_a_terminal_gets_colour_unless_told_otherwise(broker, whole_environment, no_colour, has_colour):
    """The state is coloured, on a terminal, without NO_COLOR."""
    broker.add_instance()
    environment = {**whole_environment, "TERM": "xterm-256color", "NO_COLOR": no_colour, "COLUMNS": "120"}
    code, shown = run_on_terminal(["instances"], environment)
    assert code == 0 and "ready" in shown
    assert ("\x1b[32mready" in shown) is has_colour
    assert ("\x1b[" in shown) is has_colour


def test_a_terminal_sees_that_something_goes_on(broker, whole_environment):
    """A spinner with the operation's name, and each line above it."""
    code, shown = run_on_terminal(["provision", "redis", "redis-standard", "cache"], {**whole_environment, "TERM": "xterm-256color"})
    assert code == 0
    assert "provision of 'cache' …" in shown and "Start the server\r\n" in shown and "is ready after" in shown
