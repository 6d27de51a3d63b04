"""`apb serve` for real: gunicorn over TLS, and the client `apb` that speaks to it."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from tests import certificates, ports
from tests.e2e.machine import wait

APB = [sys.executable, "-m", "apb_cli.main"]


class Server:
    """One `apb serve` with TLS."""

    def __init__(self, state: StateDirectory, port: int) -> None:
        self.state, self.port = state, port
        self.url = f"https://127.0.0.1:{port}"
        self.certificate_file = state.root / "server.crt"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("APB_") and name != "DATABASE_URL"}
        self.environment["APB_STATE_DIR"] = str(state.root)

    def context(self) -> ssl.SSLContext:
        """Trusts the server, and nobody else."""
        return ssl.create_default_context(cafile=self.certificate_file)

    def get(self, path: str) -> httpx.Response:
        """A request, as the admin."""
        admin = json.loads(self.state.admin_file.read_text())
        return httpx.get(
            self.url + path,
            auth=(admin["username"], admin["password"]),
            headers={"X-Broker-API-Version": "2.17"},
            verify=self.context(),
            trust_env=False,
        )

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return self.get("/readyz").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def serial(self) -> str:
        """Of the certificate that is shown."""
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as plain,
            self.context().wrap_socket(plain, server_hostname="127.0.0.1") as tls,
        ):
            shown = tls.getpeercert()
            assert shown is not None
            return str(shown["serialNumber"])

    def apb(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A command of the client's."""
        return subprocess.run([*APB, *words], env={**self.environment, **environment}, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a configuration as `apb up` writes it, with TLS added."""
    state = StateDirectory(tmp_path_factory.mktemp("https") / "s")
    state.create()
    port = ports.free()
    certificates.write(state.root)
    made = configuration.APB_YML.format(listen=f"127.0.0.1:{port}", ports="31000-31004", directory=json.dumps(str(state.host)))
    state.config_file.touch(0o600)
    state.config_file.write_text(made + "tls: {certificate_file: server.crt, key_file: server.key}\n")
    configuration.first_configuration(state)
    state.keep_database_url(database_url)
    found = Server(state, port)
    with (state.logs / "serve.log").open("wb") as log:
        process = subprocess.Popen([*APB, "serve"], env=found.environment, stdout=log, stderr=log)
        try:
            wait(lambda: found.answers() or process.poll() is not None, 60, "the start of apb serve")
            assert process.poll() is None, (state.logs / "serve.log").read_text()
            yield found
        finally:
            process.terminate()
            process.wait(60)


def test_server_speaks_https(server: Server) -> None:
    """With its certificate, to whoever trusts that; who does not, and who speaks plainly, gets nothing."""
    answer = server.get("/v2/catalog")
    assert [service["name"] for service in answer.json()["services"]] == ["redis"]
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(server.url + "/livez", trust_env=False)
    with pytest.raises(httpx.HTTPError):
        httpx.get(server.url.replace("https", "http") + "/livez", trust_env=False).raise_for_status()


@pytest.mark.parametrize(("version", "is_spoken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_versions_of_tls_are_not_spoken(server: Server, version: str, is_spoken: bool) -> None:
    """TLS 1.2 is the oldest."""
    context = server.context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL would not even offer the old ones
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
        if not is_spoken:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(plain, server_hostname="127.0.0.1")
            return
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
            assert tls.version() == version.replace("_", ".")


def test_admin_file_of_a_server_with_tls_names_https(server: Server) -> None:
    """So that the client finds it; who vouches for it is said by an option, a variable, or in that file."""
    admin = json.loads(server.state.admin_file.read_text())
    assert admin["url"] == server.url
    distrusted = server.apb("marketplace")
    assert (distrusted.returncode, "--ca-file or APB_CA_FILE names who vouches for it" in distrusted.stderr) == (5, True)
    for words, environment in ((["--ca-file", str(server.certificate_file)], {}), ([], {"APB_CA_FILE": str(server.certificate_file)})):
        found = server.apb("marketplace", *words, **environment)
        assert (found.returncode, "redis-standard" in found.stdout) == (0, True), found.stderr
    server.state.admin_file.write_text(json.dumps({**admin, "ca_file": server.certificate_file.name}))
    try:
        assert server.apb("marketplace").returncode == 0
    finally:
        server.state.admin_file.write_text(json.dumps(admin))


def test_client_checks_who_it_speaks_to(server: Server, tmp_path: Path) -> None:
    """Another certificate does not do, nor a file without any: nothing is sent."""
    other, _key = certificates.write(tmp_path, "other")
    refused = server.apb("marketplace", "--ca-file", str(other))
    assert (refused.returncode, "CERTIFICATE_VERIFY_FAILED" in refused.stderr) == (5, True)
    (tmp_path / "empty").touch()
    for file, said in ((tmp_path / "empty", "holds no certificates"), (tmp_path / "none", "cannot be read: No such file")):
        refused = server.apb("marketplace", "--ca-file", str(file))
        assert (refused.returncode, said in refused.stderr) == (2, True)


def test_certificate_is_renewed_without_a_restart(server: Server) -> None:
    """The next connection shows it."""
    before = server.serial()
    certificates.write(server.state.root)
    assert server.serial() != before
    assert server.get("/v2/catalog").status_code == 200


def test_forwarding_headers_are_no_business_of_the_server(server: Server) -> None:
    """Not even from this machine: a client cannot say under which path or whose name it comes."""
    for headers in ({"SCRIPT_NAME": "/v2"}, {"PATH_INFO": "/livez"}, {"X-Forwarded-For": "192.0.2.1"}, {"REMOTE_USER": "admin"}):
        answer = httpx.get(server.url + "/v2/catalog", headers=headers, verify=server.context(), trust_env=False)
        assert answer.status_code == 401


@pytest.mark.parametrize(("file", "said"), [("admin.password", "lets others read a password"), ("server.key", "lets others read a key")])
def test_unusable_secrets_are_told_before_the_start(tmp_path: Path, file: str, said: str) -> None:
    """One sentence, no process of gunicorn's."""
    state = StateDirectory(tmp_path / "s")
    state.create()
    certificates.write(state.root)
    made = configuration.APB_YML.format(listen="127.0.0.1:1", ports="31000-31004", directory=json.dumps(str(state.host)))
    state.config_file.write_text(made + "tls: {certificate_file: server.crt, key_file: server.key}\n")
    configuration.first_configuration(state)
    state.keep_database_url("postgresql://127.0.0.1:1/none")
    (state.root / file).chmod(0o644)
    refused = Server(state, 1).apb("serve")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"apb: {state.root / file}: mode 0644 {said}: chmod 600 {state.root / file}\n"
