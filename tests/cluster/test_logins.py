"""How the controller logs in to a real API server: as the account of its pod, with a token in a file, with what a plugin tells."""

import datetime
import json
import urllib.parse
from pathlib import Path

import pytest
import yaml
from kubernetes import config

from apb_controller import metrics
from apb_controller.kube import errors, library, resources
from apb_controller.kube.api import Api
from tests.cluster.apis import on
from tests.cluster.catalog import Catalog

pytestmark = pytest.mark.cluster
REVIEW = resources.Resource("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", is_namespaced=False)
PLUGIN = """\
#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" >> "$ASKED"
printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}' "$(cat "$1")"
"""


async def who(api: Api) -> str:
    """The account that the API server takes us for."""
    body = {"apiVersion": REVIEW.api_version, "kind": REVIEW.kind}
    answer = await api.call("POST", REVIEW, REVIEW.path(), body=body)
    return str(answer["status"]["userInfo"]["username"]).rpartition(":")[2]


def refusals() -> float:
    """How often the API server has refused a login so far."""
    return (
        metrics.REGISTRY.get_sample_value("apb_controller_api_requests_total", {"verb": "POST", "kind": REVIEW.kind, "status": "401"}) or 0
    )


class Login:
    """A token in a file, of accounts of a namespace: each counts until it is revoked."""

    def __init__(self, space: Catalog, file: Path) -> None:
        self._space, self._file = space, file

    def give(self, account: str) -> None:
        """A token of that account, which is made for it."""
        core, namespace = self._space.core, self._space.namespace
        core.create_namespaced_service_account(namespace, {"metadata": {"name": account}})
        bound = core.create_namespaced_secret(namespace, {"metadata": {"name": account}})
        reference = {"kind": "Secret", "apiVersion": "v1", "name": account, "uid": bound.metadata.uid}
        request = {"spec": {"audiences": [], "expirationSeconds": 3600, "boundObjectRef": reference}}
        self._file.write_text(core.create_namespaced_service_account_token(account, namespace, request).status.token)

    def revoke(self, account: str) -> None:
        """Its token counts no more."""
        self._space.core.delete_namespaced_secret(account, self._space.namespace)


@pytest.fixture
def login(space: Catalog, tmp_path: Path) -> Login:
    """Of that namespace, in a file `token`."""
    return Login(space, tmp_path / "token")


def of_a_pod(kubeconfig: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of the pod: its address in the environment, its files where a pod has them."""
    given = config.new_client_from_config(str(kubeconfig)).configuration
    address = urllib.parse.urlsplit(given.host)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    monkeypatch.setattr(library.config.incluster_config, "SERVICE_TOKEN_FILENAME", str(place / "token"))
    monkeypatch.setattr(library.config.incluster_config, "SERVICE_CERT_FILENAME", str(given.ssl_ca_cert))


def of_a_token_file(kubeconfig: Path, place: Path, _monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubeconfig that names the file."""
    return written(kubeconfig, place, {"tokenFile": str(place / "token")})


def of_a_plugin(kubeconfig: Path, place: Path, _monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubeconfig that names a program, as clouds have them: it tells the token, and leaves a line in `asked`."""
    program = place / "plugin"
    program.write_text(PLUGIN)
    program.chmod(0o755)
    environment = [{"name": "ASKED", "value": str(place / "asked")}]
    named = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "args": [str(place / "token")], "env": environment}
    return written(kubeconfig, place, {"exec": {**named, "interactiveMode": "Never"}})


def written(kubeconfig: Path, place: Path, user: dict[str, object]) -> Path:
    """The same kubeconfig for another user."""
    given = yaml.safe_load(kubeconfig.read_text())
    for each in given["users"]:
        each["user"] = user
    (place / "kubeconfig").write_text(yaml.safe_dump(given))
    return place / "kubeconfig"


@pytest.mark.parametrize("way", [of_a_pod, of_a_token_file, of_a_plugin])
def test_login_that_is_refused_is_read_anew(kubeconfig: Path, login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way) -> None:
    """At once, and the request is sent again: nobody notices that a token was revoked or has run out."""
    login.give("first")
    own = way(kubeconfig, tmp_path, monkeypatch)

    async def work(api: Api) -> None:
        login.revoke("first")
        login.give("second")
        before = refusals()
        assert await who(api) == "second"
        assert refusals() == before + 1

    on(own, work)


def test_token_of_a_pod_is_read_again_when_it_is_rotated(
    kubeconfig: Path, login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it runs out: the kubelet writes another one into the file. A minute is a moment here."""
    monkeypatch.setattr(library.config.incluster_config, "TOKEN_REFRESH_PERIOD", datetime.timedelta())
    of_a_pod(kubeconfig, tmp_path, monkeypatch)
    login.give("first")

    async def work(api: Api) -> None:
        before = refusals()
        assert await who(api) == "first"
        login.give("second")
        assert await who(api) == "second"
        assert refusals() == before

    on(None, work)


def test_login_that_goes_on_being_refused_is_not_asked_for_all_the_time(kubeconfig: Path, login: Login, tmp_path: Path) -> None:
    """A plugin may take seconds, or ask somebody: once, then not for a while. What the server says is told."""
    login.give("first")

    async def work(api: Api) -> None:
        login.revoke("first")
        for _ in range(3):
            with pytest.raises(errors.Forbidden, match="Unauthorized"):
                await who(api)

    on(of_a_plugin(kubeconfig, tmp_path, pytest.MonkeyPatch()), work)
    asked = [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    assert [each["kind"] for each in asked] == ["ExecCredential"] * 2


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("#!/bin/sh\necho log in first >&2\nexit 3\n", "exec: process returned 3. log in first"),
        ("#!/bin/sh\necho secret of nobody\n", "exec: failed to decode process output"),
        (None, "No such file or directory: '.*/plugin'"),
    ],
)
def test_plugin_that_gives_no_login_is_told(kubeconfig: Path, login: Login, tmp_path: Path, plugin: str | None, told: str) -> None:
    """In its own words, at the start and when a login is to be renewed; without what it printed."""
    login.give("first")
    own = of_a_plugin(kubeconfig, tmp_path, pytest.MonkeyPatch())

    def spoil() -> None:
        (tmp_path / "plugin").unlink()
        if plugin is not None:
            (tmp_path / "plugin").write_text(plugin)
            (tmp_path / "plugin").chmod(0o755)

    async def work(api: Api) -> None:
        login.revoke("first")
        spoil()
        with pytest.raises(errors.Refused, match=f"no way to an API server: .*{told}") as refused:
            await who(api)
        assert "secret" not in str(refused.value)

    on(own, work)
    with pytest.raises(errors.Refused, match=f"no way to an API server: .*{told}"):
        on(own, work)
