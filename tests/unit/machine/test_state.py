"""The state directory and the first configuration: names, permission bits, and what is never overwritten."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
import yaml

from apb_broker.machine import configuration, environment, files
from apb_broker.machine.errors import AlreadyRunning, ConfigurationError, StateDirectoryError
from apb_broker.machine.state import StateDirectory, default_root

PASSABLE = 0o711 if os.geteuid() == 0 else 0o700


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def state(tmp_path):
    state = StateDirectory(tmp_path / "state")
    state.create()
    return state


def test_default_root_is_the_users_place(monkeypatch):
    """An ordinary user's state follows the XDG specification; relative values of it are ignored."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_root({"XDG_STATE_HOME": "/x"}) == Path("/x/apb")
    assert default_root({"XDG_STATE_HOME": "x"}) == Path.home() / ".local/state/apb"
    assert default_root({"APB_STATE_DIR": "/y", "XDG_STATE_HOME": "/x"}) == Path("/y")


def test_default_root_is_the_systems_place_for_root(monkeypatch):
    """Root's state lies in /var/lib."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root({"XDG_STATE_HOME": "/x"}) == Path("/var/lib/apb")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_is_closed_to_others(tmp_path, umask):
    """Files are 0600; directories 0700, or passable (0711) where root's instances must walk through, whatever the umask."""
    before = os.umask(umask)
    try:
        state = StateDirectory(tmp_path / "state")
        state.create()
        configuration.first_configuration(state)
        state.keep_database_url("postgresql://u:p@h/d")
        with state.lock():
            pass
    finally:
        os.umask(before)
    written = ("apb.yml", "admin.json", "admin.password", "keys", "database.url", "lock")
    assert {path.name: mode(path) for path in state.root.iterdir() if path.is_file()} == dict.fromkeys(written, 0o600)
    assert [mode(path) for path in (state.root, state.postgres, state.host, state.logs)] == [PASSABLE, PASSABLE, PASSABLE, 0o700]


def test_create_closes_a_directory_that_is_too_open(tmp_path):
    """A directory that was made beforehand loses the bits it must not have, and gains none."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    StateDirectory(tmp_path / "state").create()
    assert mode(tmp_path / "state") == PASSABLE


def test_create_refuses_a_directory_with_other_things(tmp_path):
    """A home directory named by mistake is left as it is."""
    (tmp_path / "letter.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(StateDirectoryError, match="holds other files"):
        StateDirectory(tmp_path).create()
    assert mode(tmp_path) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_create_refuses_a_directory_of_somebody_else(tmp_path):
    """Its owner could replace every file in it."""
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65534, 65534)
    with pytest.raises(StateDirectoryError, match="belongs to user 65534"):
        StateDirectory(tmp_path / "state").create()


def test_create_refuses_a_file(tmp_path):
    """A file of that name is named, not replaced."""
    (tmp_path / "state").touch()
    with pytest.raises(StateDirectoryError, match="not a directory"):
        StateDirectory(tmp_path / "state").create()


def test_lock_names_its_holder(state):
    """The second one learns which process is in its way."""
    with state.lock(), pytest.raises(AlreadyRunning, match=f"process {os.getpid()} "), StateDirectory(state.root).lock():
        pass
    with state.lock():
        pass


def test_write_private_is_never_wider_than_its_owner(tmp_path, monkeypatch):
    """From the first moment on, and the old file stays when writing fails."""
    seen = []
    write = os.fdopen

    def spy(descriptor, *arguments, **options):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return write(descriptor, *arguments, **options)

    monkeypatch.setattr(os, "fdopen", spy)
    files.write_private(tmp_path / "secret", "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_private(tmp_path / "secret", "\ud800")
    assert set(seen) == {0o600}
    assert (tmp_path / "secret").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_bound_keeps_the_end_of_a_log(tmp_path):
    """A log that outgrew its limit moves aside while its writer goes on appending."""
    log = tmp_path / "log"
    with os.fdopen(files.append_private(log), "w") as writer:
        writer.write("a" * 100 + "b" * 10)
        writer.flush()
        files.bound(log, 10)
        writer.write("c")
    assert (log.read_text(), (tmp_path / "log.1").read_text()) == ("c", "b" * 10)
    assert mode(tmp_path / "log.1") == 0o600


def test_first_configuration_fits_together(state):
    """Address, directory, password and key of the files agree with each other."""
    configuration.first_configuration(state, "127.0.0.1:9999")
    config = yaml.safe_load(state.config_file.read_text())
    admin = json.loads(state.admin_file.read_text())
    label, key = state.key_file.read_text().split()
    assert config["listen"] == "127.0.0.1:9999"
    assert config["targets"]["local"]["directory"] == str(state.host)
    assert admin == {"url": "http://127.0.0.1:9999", "username": "admin", "password": state.password_file.read_text().strip()}
    assert (label, len(base64.b64decode(key))) == ("key-1", 32)


def test_first_configuration_overwrites_nothing(state):
    """A second start finds the operator's changes and leaves them."""
    configuration.first_configuration(state)
    state.config_file.write_text("listen: 127.0.0.1:1234\n")
    before = {path: path.read_bytes() for path in state.root.iterdir() if path.is_file()}
    configuration.first_configuration(state)
    assert {path: path.read_bytes() for path in state.root.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("missing", ["admin.json", "admin.password"])
def test_credentials_are_completed_from_each_other(state, missing):
    """A start that was killed between the two files does not lock the admin out."""
    configuration.first_configuration(state)
    before = (state.root / missing).read_bytes()
    (state.root / missing).unlink()
    configuration.first_configuration(state)
    assert (state.root / missing).read_bytes() == before


def test_admin_file_names_https_where_the_server_speaks_it(state):
    """As apb.yml says when the file is made."""
    state.config_file.write_text("listen: 0.0.0.0:8780\ntls: {certificate_file: a, key_file: b}\n")
    configuration.first_configuration(state)
    assert json.loads(state.admin_file.read_text())["url"] == "https://127.0.0.1:8780"


def test_hash_is_never_taken_for_the_password(state):
    """Where the operator keeps only the hash, the client's file is the operator's, too: kept as it is, or not there."""
    state.config_file.write_text("listen: 127.0.0.1:8780\n")
    state.password_file.write_text("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA\n")
    configuration.first_configuration(state)
    assert not state.admin_file.exists()
    state.admin_file.write_text("{}")
    configuration.first_configuration(state)
    assert state.admin_file.read_text() == "{}"


def test_another_listen_is_refused(state):
    """apb.yml is where the address is said; an option that disagrees is not silently ignored."""
    configuration.first_configuration(state, "127.0.0.1:9999")
    configuration.first_configuration(state, "127.0.0.1:9999")
    with pytest.raises(ConfigurationError, match=r"says listen: 127.0.0.1:9999, not 127.0.0.1:1"):
        configuration.first_configuration(state, "127.0.0.1:1")


def test_a_lost_key_is_not_replaced(state):
    """With a new key the broker would start and then open nothing that the old one sealed."""
    (state.postgres / "data").mkdir()
    with pytest.raises(ConfigurationError, match="restore it from a backup"):
        configuration.first_configuration(state)
    assert not state.key_file.exists()


@pytest.mark.parametrize("listen", ["", "8780", "127.0.0.1", "127.0.0.1:x", "u@h:1", "127.0.0.1:99999", "::1:80", "h:1/x"])
def test_a_malformed_listen_is_named(listen):
    """The message shows the value and the form."""
    with pytest.raises(ConfigurationError, match="address:port"):
        configuration.host_and_port(listen)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:1", "http://127.0.0.1:1"),
        ("0.0.0.0:1", "http://127.0.0.1:1"),
        ("[::]:1", "http://[::1]:1"),
        ("db.example:1", "http://db.example:1"),
    ],
)
def test_base_url_is_a_destination(listen, url):
    """The any-addresses are listened on, not connected to."""
    assert configuration.base_url(listen) == url


def test_database_url_prefers_the_operators(state):
    """Environment, then the kept file, then the embedded server, whose URL holds no password."""
    assert state.database_url({}) == (f"postgresql+psycopg://apb@/apb?host={state.postgres}/run&passfile={state.postgres}/passfile")
    state.keep_database_url("postgresql://kept")
    assert state.database_url({}) == "postgresql://kept"
    assert state.database_url({"DATABASE_URL": "postgresql://given"}) == "postgresql://given"


def test_database_url_quotes_the_path(tmp_path):
    """A directory may hold any character."""
    import sqlalchemy

    url = sqlalchemy.make_url(StateDirectory(tmp_path / 'a &?%," b').database_url({}))
    assert url.query["host"] == str(tmp_path / 'a &?%," b' / "postgres/run")


def test_children_see_no_secret():
    """Named variables pass, and of those none that holds a secret; the file of one does."""
    harmless = {"HOME": "/h", "ANSIBLE_CONFIG": "/a", "ANSIBLE_VAULT_PASSWORD_FILE": "/v", "PGPASSFILE": "/f"}
    secret = ("DATABASE_URL", "PGPASSWORD", "ANSIBLE_GALAXY_SERVER_TOKEN", "APB_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_OWN")
    passed = environment.of_children(harmless | dict.fromkeys(secret, "x") | {"PATH": "/p", "LANG": "de_DE"})
    assert passed.pop("PATH").endswith(":/p")
    assert passed == harmless | {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
