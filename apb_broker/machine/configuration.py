"""What this machine starts with: a working apb.yml, the admin's credentials and the key to what is sealed in the database.

Only what is missing is written, nothing is ever overwritten: from then on the files are the operator's. What apb.yml
may say, and whether it is right, is left to `apb_broker.catalog.config`.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from apb_broker.machine import files, keyfile
from apb_broker.machine.errors import ConfigurationError
from apb_broker.machine.state import StateDirectory, new_password

DEFAULT_LISTEN = "127.0.0.1:8780"
DEFAULT_PORTS = "21000-21999"
ADMIN = "admin"
HASHED = "$argon2id$"

APB_YML = """\
# Written by the first `apb up`; yours from now on.
apb: 1
listen: {listen}
users:
  - {{name: admin, password_file: admin.password, roles: [platform, operator]}}
roles:
  - {{name: apb.catalog.redis}}
targets:
  local:
    mode: host
    hosts: [{{name: localhost, address: 127.0.0.1}}]
    ports: {ports}
    directory: {directory}
offers:
  - {{plan: redis/redis-standard, mode: host, targets: [local]}}
"""


def first_configuration(state: StateDirectory, listen: str | None = None, ports: str | None = None) -> None:
    """Writes what is missing; `ports` (FIRST-LAST) is where instances get theirs.

    Raises ConfigurationError, also when there is an apb.yml already and `listen` or `ports` is not what it says.
    """
    _refuse_a_lost_key(state)
    if state.config_file.exists():
        _refuse_another_listen(state, listen)
        _refuse_ports_too_late(state, ports)
    else:
        chosen = listen or DEFAULT_LISTEN
        host_and_port(chosen)
        made = APB_YML.format(listen=json.dumps(chosen), ports=json.dumps(ports or DEFAULT_PORTS), directory=json.dumps(str(state.host)))
        files.write_private(state.config_file, made)
    keyfile.ensure(state.key_file)
    _ensure_admin(state)


def _refuse_a_lost_key(state: StateDirectory) -> None:
    # A new key would let the broker start, and then fail on every sealed value of the old one.
    if not state.key_file.exists() and state.embedded().exists():
        raise ConfigurationError(f"{state.key_file} is gone, but what {state.postgres} holds is sealed with it: restore it from a backup")


def _ensure_admin(state: StateDirectory) -> None:
    """The password file is what the broker reads, admin.json what the client reads; each can be made from the other.

    Not so where the operator keeps only the password's hash: then there is no admin.json unless the operator keeps one.
    """
    if not state.password_file.exists():
        files.write_private(state.password_file, (_password_of(state.admin_file) or new_password()) + "\n")
    if not state.admin_file.exists():
        password = state.password_file.read_text(encoding="utf-8").rstrip("\n")
        if not password.startswith(HASHED):
            admin = {"url": local_url(state), "username": ADMIN, "password": password}
            files.write_private(state.admin_file, json.dumps(admin, indent=2) + "\n")


def _password_of(admin_file: Path) -> str | None:
    try:
        password = json.loads(admin_file.read_text(encoding="utf-8"))["password"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return password if isinstance(password, str) else None


def _refuse_another_listen(state: StateDirectory, listen: str | None) -> None:
    configured = configured_listen(state)
    if listen is not None and listen != configured:
        raise ConfigurationError(f"{state.config_file} says listen: {configured}, not {listen}: change it there and leave --listen away")


def _refuse_ports_too_late(state: StateDirectory, ports: str | None) -> None:
    if ports is not None:
        raise ConfigurationError(f"{state.config_file} says which ports its targets have: change them there and leave --ports away")


def configured_listen(state: StateDirectory) -> str:
    """The address that apb.yml names. Raises ConfigurationError."""
    listen = str(_document(state).get("listen", DEFAULT_LISTEN))
    host_and_port(listen)
    return listen


def has_tls(state: StateDirectory) -> bool:
    """Whether apb.yml says that the server itself speaks TLS. Raises ConfigurationError."""
    return _document(state).get("tls") is not None


def local_url(state: StateDirectory) -> str:
    """The URL that a client on this machine uses. Raises ConfigurationError."""
    return base_url(configured_listen(state), "https" if has_tls(state) else "http")


def _document(state: StateDirectory) -> dict[str, Any]:
    try:
        document = yaml.safe_load(state.config_file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{state.config_file}{where} is not YAML") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{state.config_file} cannot be read: {type(error).__name__}") from error
    return document if isinstance(document, dict) else {}


def host_and_port(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8780` or `[::1]:8780` as a pair. Raises ConfigurationError."""
    try:
        parts = urlsplit("//" + listen)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != listen or "@" in listen:
        raise ConfigurationError(f"listen: '{listen}' is not of the form address:port, such as {DEFAULT_LISTEN}")
    return host, port


def reachable(listen: str) -> tuple[str, int]:
    """Where this machine itself reaches what listens there: the any-addresses are no destinations."""
    host, port = host_and_port(listen)
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - compared, not bound


def base_url(listen: str, scheme: str = "http") -> str:
    """The URL of what listens there, for this machine itself."""
    host, port = reachable(listen)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
