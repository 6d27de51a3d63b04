"""Which broker is spoken to, and as whom: options, then the environment, then what `apb up` left in the state directory.

Speaking to it is left to `http`. A password comes from a file and never from the command line or the environment.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from apb_cli import errors


@dataclass(frozen=True)
class Connection:
    """A broker and a user of it."""

    url: str
    username: str
    password: str = field(repr=False)
    ca_file: Path | None = None  # authorities that may vouch for an https URL; None: the system's


def find(
    url: str | None,
    username: str | None,
    password_file: Path | None,
    ca_file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Connection:
    """The connection to use. Raises Usage, NotAuthorised, Unreachable."""
    url = url or environment.get("APB_URL") or None
    username = username or environment.get("APB_USERNAME") or None
    password_file = password_file or _named(environment, "APB_PASSWORD_FILE")
    ca_file = ca_file or _named(environment, "APB_CA_FILE")
    if url is not None:
        # The password in the state directory belongs to the broker of that directory: it is sent to no other URL.
        if username is None or password_file is None:
            raise errors.Usage("with --url or APB_URL also give --username and --password-file (or APB_USERNAME and APB_PASSWORD_FILE)")
        return Connection(_checked(url), username, read_password(password_file), ca_file)
    if username is not None and password_file is None:
        raise errors.Usage(f"the password of user '{username}' is missing: give --password-file or APB_PASSWORD_FILE")
    local = _local(state_directory(environment) / "admin.json")
    password = local.password if password_file is None else read_password(password_file)
    return Connection(local.url, username or local.username, password, ca_file or local.ca_file)


def _named(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(environment[name]) if environment.get(name) else None


def state_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where `apb up` keeps its state: the rule of apb_broker.machine.state, without importing the broker."""
    if given := environment.get("APB_STATE_DIR"):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/apb")
    base = environment.get("XDG_STATE_HOME", "")
    return Path(base) / "apb" if base.startswith("/") else Path.home() / ".local/state/apb"


def read_password(path: Path) -> str:
    """The first line of a file that only its owner can read."""
    lines = read_private(path).splitlines()
    if not lines or not lines[0]:
        raise errors.Usage(f"{path} holds no password in its first line")
    return lines[0]


def read_private(path: Path) -> str:
    """The text of a file with secrets. Raises Usage when it is missing, or readable by others."""
    text, is_open = read_text(path)
    if is_open:
        raise open_to_others(path)
    return text


def read_text(path: Path) -> tuple[str, bool]:
    """The text of a file, and whether others than its owner can read it (a pipe is nobody's to read again). Raises Usage."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            return file.read(), stat.S_ISREG(mode) and bool(mode & 0o077)
    except UnicodeDecodeError as error:
        raise errors.Usage(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise errors.Usage(f"{path} cannot be read: {error.strerror}") from error


def open_to_others(path: Path) -> errors.Usage:
    """The refusal of a file with a secret that others can read."""
    return errors.Usage(f"{path} holds a secret and is open to other users: `chmod 600 {path}`, or better a new secret in a file made so")


def _local(path: Path) -> Connection:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        ca_file = path.parent / given["ca_file"] if given.get("ca_file") else None
        return Connection(_checked(given["url"]), given["username"], given["password"], ca_file)
    except FileNotFoundError as error:
        raise errors.Unreachable(
            f"no broker is known: {path} does not exist. Is `apb up` running? "
            f"Another broker is named by --url, --username and --password-file"
        ) from error
    except PermissionError as error:
        raise errors.NotAuthorised(
            f"{path} belongs to another user: name the broker and your own user by --url, --username and --password-file"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.Unreachable(f"{path} is damaged: remove it and restart `apb up`, which writes it anew") from error


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if usable and "@" in parts.netloc:
        raise errors.Usage("the URL holds a user name or password: give --username and --password-file instead")
    if not usable or parts.query or parts.fragment:
        raise errors.Usage("the URL of the broker is not of the form http://address:port or https://address")
    return url.rstrip("/")
