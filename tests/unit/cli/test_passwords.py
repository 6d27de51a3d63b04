"""`apb hash-password`: a hash on stdout, the password nowhere."""

import contextlib
import os
import pty
import subprocess
import sys

import pytest

from apb_broker.catalog import credentials

MAIN = "from apb_cli.main import main; main()"


@pytest.mark.parametrize("typed", ["pass:word ü\n", "pass:word ü", "pass:word ü\r\n"])
def test_password_is_read_from_stdin(apb, typed):
    """Without its line break, as a password file is read; one line comes out, which such a file may hold."""
    result = apb("hash-password", input=typed)
    assert (result.exit_code, result.stderr) == (0, "")
    made = credentials.password(result.stdout.rstrip("\n"))
    assert isinstance(made, credentials.PasswordHash) and made.is_usual
    assert credentials.is_password_of(made.encoded, "pass:word ü")


@pytest.mark.parametrize(("typed", "said"), [("", "empty"), ("\n", "empty"), ("x" * 4097, "too long")])
def test_password_that_no_file_may_hold_is_refused(apb, typed, said):
    """Exit code 2."""
    result = apb("hash-password", input=typed)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"apb: the password is {said}: expected 1 to 4096 characters\n"


def test_password_is_no_argument(apb):
    """A command line is seen by everybody on the machine."""
    result = apb("hash-password", "hush-hush")
    assert result.exit_code == 2


@pytest.mark.parametrize("again", ["hush-hush", "hash-hash"])
def test_password_is_asked_for_on_a_terminal(tmp_path, again):
    """Twice, unseen; stdout may be the password file, so that it gets the hash alone."""
    terminal, other_end = pty.openpty()
    file = tmp_path / "ann.password"
    with file.open("wb") as stdout:
        # A session of its own with that terminal: getpass speaks to /dev/tty.
        process = subprocess.Popen(
            [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {MAIN}", "hash-password"],
            stdin=other_end,
            stdout=stdout,
            stderr=other_end,
            start_new_session=True,
        )
    os.close(other_end)
    shown = b""
    for question, answer in ((b"Password: ", "hush-hush"), (b"The same again: ", again)):
        while question not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, f"{answer}\n".encode())
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while more := os.read(terminal, 1024):
            shown += more
    os.close(terminal)
    assert process.wait(60) == (0 if again == "hush-hush" else 2)
    assert b"hush" not in shown and b"hash-hash" not in shown
    if again == "hush-hush":
        assert credentials.is_password_of(file.read_text().rstrip("\n"), "hush-hush")
    else:
        assert (file.read_text(), b"two different passwords" in shown) == ("", True)
