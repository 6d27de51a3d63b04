"""The controller's own account: the rights that deploy/controller-rbac.yaml gives, and no others."""

from pathlib import Path

import yaml
from kubernetes import client, config, utils
from kubernetes.client.rest import ApiException

RIGHTS = Path(__file__).parents[2] / "deploy" / "controller-rbac.yaml"
NAMESPACE = "apb"
ACCOUNT = "apb-controller"
TOKEN_SECONDS = 4 * 3600
THERE = 409


def kubeconfig(administrators: Path, place: Path) -> Path:
    """A kubeconfig of that account, which is made with its rights if it is not there."""
    api = config.new_client_from_config(str(administrators))
    core = client.CoreV1Api(api)
    try:
        core.create_namespace({"metadata": {"name": NAMESPACE}})
    except ApiException as error:
        if error.status != THERE:
            raise
    try:
        utils.create_from_yaml(api, str(RIGHTS))
    except utils.FailToCreateError as error:
        if any(each.status != THERE for each in error.api_exceptions):
            raise
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=TOKEN_SECONDS))
    token = core.create_namespaced_service_account_token(ACCOUNT, NAMESPACE, request).status.token
    given = yaml.safe_load(administrators.read_text())
    [context] = [each["context"] for each in given["contexts"] if each["name"] == given["current-context"]]
    given |= {"users": [{"name": ACCOUNT, "user": {"token": token}}], "current-context": ACCOUNT}
    given["contexts"] = [{"name": ACCOUNT, "context": {"cluster": context["cluster"], "user": ACCOUNT}}]
    place.touch(mode=0o600)
    place.write_text(yaml.safe_dump(given))
    return place
