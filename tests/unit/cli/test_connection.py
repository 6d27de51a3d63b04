"""Which broker, as whom, and what happens when it does not answer or does not let us."""

from pathlib import Path

import pytest

from apb_broker.machine import state
from apb_cli import connection

from .conftest import PASSWORD


@pytest.fixture
def password_file(tmp_path):
    file = tmp_path / "mine"
    file.touch(mode=0o600)
    file.write_text(PASSWORD + "\n")
    return file


def test_connection_is_taken_from_options_or_environment(broker, apb, password_file):
    """Options first, then the environment; no state directory is needed."""
    options = ("--url", broker.url + "/", "--username", "admin", "--password-file", str(password_file))
    assert apb("marketplace", *options, APB_STATE_DIR="/nowhere", APB_URL="http://127.0.0.1:1").exit_code == 0
    variables = {"APB_URL": broker.url, "APB_USERNAME": "admin", "APB_PASSWORD_FILE": str(password_file), "APB_STATE_DIR": "/nowhere"}
    assert apb("marketplace", **variables).exit_code == 0


def test_connection_never_sends_the_local_password_elsewhere(broker, apb):
    """Another URL needs another user: exit code 2, and nothing is sent."""
    result = apb("marketplace", "--url", broker.url)
    assert result.exit_code == 2 and "--password-file" in result.stderr
    assert not broker.requests
    assert apb("marketplace", "--username", "ann").exit_code == 2


def test_connection_names_what_is_missing(apb):
    """No state, no options: exit code 5 and the question whether `apb up` runs."""
    result = apb("marketplace", APB_STATE_DIR="/nowhere")
    assert result.exit_code == 5
    assert "/nowhere/admin.json does not exist" in result.stderr and "Is `apb up` running?" in result.stderr


def test_connection_refused_names_the_url(broker, apb):
    """Exit code 5, the URL, the same question."""
    broker.stop()
    result = apb("marketplace")
    broker.start()
    assert result.exit_code == 5
    assert broker.url in result.stderr and "Is `apb up` running?" in result.stderr


def test_connection_with_a_wrong_password(broker, apb, password_file):
    """Exit code 6, and what the broker said."""
    password_file.write_text("wrong")
    result = apb("marketplace", "--password-file", str(password_file))
    assert (result.exit_code, result.stderr) == (6, "apb: user name or password is missing or wrong\n")


def test_connection_refuses_a_password_file_of_all(apb, password_file):
    """A password others can read is none."""
    password_file.chmod(0o644)
    result = apb("marketplace", "--password-file", str(password_file))
    assert result.exit_code == 2 and "open to other users" in result.stderr and PASSWORD not in result.stderr


@pytest.mark.parametrize("url", ["localhost:8780", "ftp://x", "http://", "http://admin:secret@x", "http://x:99999", "http://x?y=1"])
def test_connection_refuses_a_url_that_is_none(apb, password_file, url):
    """Exit code 2; a password in a URL would be one on the command line, and is not repeated."""
    result = apb("marketplace", "--url", url, "--username", "admin", "--password-file", str(password_file))
    assert result.exit_code == 2 and "URL" in result.stderr and "secret" not in result.stderr


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        ((200, "<html>", {}), 5, "does not answer as an apb broker does"),
        ((404, "<html>", {}), 5, "is the URL right?"),
        ((302, "", {"Location": "http://127.0.0.1:1/"}), 5, "is the URL right?"),
        ((500, {"description": "the broker failed; its log says why"}, {}), 1, "its log says why"),
        ((503, {"description": "the database cannot be used now"}, {}), 5, "the database cannot be used now"),
        ((403, {"description": "user 'admin' lacks the role 'platform'"}, {}), 6, "lacks the role"),
        ((422, {"error": "ConcurrencyError", "description": "instance i is busy"}, {}), 4, "instance i is busy"),
        ((200, None, {}), 5, "no complete answer"),
    ],
)
def test_answers_have_their_exit_codes(broker, apb, answer, code, text):
    """Each answer that is no success ends with one sentence and its code."""
    broker.answers["GET catalog"] = [answer]
    result = apb("marketplace")
    assert result.exit_code == code
    assert text in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "environment",
    [{"APB_STATE_DIR": "/s"}, {}, {"XDG_STATE_HOME": "/x"}, {"XDG_STATE_HOME": "relative"}],
)
@pytest.mark.parametrize("user", [0, 1000])
def test_state_directory_is_the_one_of_apb_up(monkeypatch, environment, user):
    """The client's rule is a copy: it must give what the broker's gives."""
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    assert connection.state_directory(environment) == state.default_root(environment)
