# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of servicecatalog.k8s.io, by kubernetes.core's connection to an API server: brought to what is wanted, waited for, listed.

What the options of a module mean in a spec is left to the modules; what a status says to catalog_conditions.
"""

from __future__ import annotations

import contextlib
import copy
import json
import time
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apb.catalog.plugins.module_utils import catalog_conditions
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

try:
    from kubernetes.dynamic.exceptions import (
        ConflictError,
        DynamicApiError,
        GoneError,
        NotFoundError,
        ResourceNotFoundError,
        ResourceNotUniqueError,
    )
    from urllib3.exceptions import HTTPError
except ImportError:  # AnsibleK8SModule reports the missing library before anything is asked
    ConflictError = DynamicApiError = GoneError = NotFoundError = ResourceNotFoundError = ResourceNotUniqueError = LookupError
    HTTPError = OSError

API_VERSION = "servicecatalog.k8s.io/v1beta1"
REMOVE = object()  # instead of a value: the field goes
CONFLICTS = 5
PAGE = 500  # objects in one answer, as kubectl asks for them
COMMON = dict(
    **AUTH_ARG_SPEC,
    name=dict(type="str", required=True),
    state=dict(type="str", choices=["present", "absent"], default="present"),
    wait=dict(type="bool", default=True),
    wait_timeout=dict(type="int", default=600),
    wait_sleep=dict(type="int", default=2),
)
NAMESPACE = dict(namespace=dict(type="str", required=True))
FROM_SECRETS = dict(
    parameters_from=dict(
        type="list",
        elements="dict",
        options=dict(secret=dict(type="str", required=True, no_log=False), key=dict(type="str", required=True, no_log=False)),
    )
)
LISTED = dict(
    **AUTH_ARG_SPEC,
    name=dict(type="str"),
    namespace=dict(type="str"),
    label_selectors=dict(type="list", elements="str", default=[]),
)
HIDDEN = "<not shown>"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class ObjectError(Exception):
    """The API server refuses, or an object does not become what it should: a sentence for people, and the object, if there is one."""

    def __init__(self, message: str, found: dict | None = None) -> None:
        super().__init__(message)
        self.found = found


class Changed(ObjectError):
    """Somebody else has changed the object meanwhile."""


class Objects:
    """The objects of one kind. With a client in dry run nothing that is written is kept. Raises ObjectError."""

    def __init__(self, client, kind: str, api_version: str = API_VERSION) -> None:
        self.kind, self._client, self._api_version = kind, client, api_version
        with answered(f"looking for {kind}"):
            try:
                self._resource = client.resource(kind, api_version)
            except (ResourceNotFoundError, ResourceNotUniqueError):
                raise ObjectError(
                    f"the cluster knows no {kind} of {api_version}: install the service catalog first (kubectl apply -f deploy/crds), "
                    "or name another cluster by kubeconfig and context"
                ) from None

    def read(self, name: str, namespace: str | None = None) -> dict | None:
        """The object; None when there is none."""
        with answered(f"reading {self.kind} {name}"):
            try:
                return self._client.get(self._resource, name=name, namespace=namespace).to_dict()
            except NotFoundError:
                return None

    def list(self, namespace: str | None = None, label_selectors: list | None = None) -> list:
        """All of them, of one namespace or of all; in the order of their names."""
        asked = {"namespace": namespace or None, "label_selector": ",".join(label_selectors or []) or None}
        with answered(f"listing {self.kind}s"):
            try:
                items = self._pages(PAGE, **asked)
            except GoneError:  # it took so long that the server does not remember any more what it was listing
                items = self._pages(None, **asked)
        named = [{**item, "apiVersion": self._api_version, "kind": self.kind} for item in items]
        return sorted(named, key=lambda item: (item["metadata"].get("namespace", ""), item["metadata"]["name"]))

    def _pages(self, limit: int | None, **asked) -> list:
        found, rest = [], None
        while True:
            page = self._client.get(self._resource, limit=limit, _continue=rest, **asked).to_dict()
            found += page["items"]
            rest = page["metadata"].get("continue")
            if not rest:
                return found

    def create(self, body: dict) -> dict:
        """Makes it."""
        with answered(f"creating {catalog_conditions.called(body)}"):
            return self._client.create(self._resource, body, namespace=body["metadata"].get("namespace")).to_dict()

    def replace(self, body: dict) -> dict:
        """Writes it, if it is still as it was read. Raises Changed."""
        with answered(f"changing {catalog_conditions.called(body)}"):
            try:
                return self._client.replace(self._resource, body, namespace=body["metadata"].get("namespace")).to_dict()
            except ConflictError:
                raise Changed(f"{catalog_conditions.called(body)} is being changed by somebody else all the time: run this again") from None

    def delete(self, name: str, namespace: str | None = None) -> None:
        """Asks for its end. It may take its time, see `await_gone`."""
        with answered(f"deleting {self.kind} {name}"), contextlib.suppress(NotFoundError):
            self._client.delete(self._resource, name=name, namespace=namespace)


@contextlib.contextmanager
def answered(doing: str):
    """Turns what the API server says no with into one sentence of its own words."""
    try:
        yield
    except DynamicApiError as error:
        raise ObjectError(f"{doing}: {said(error)}") from None
    except HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise ObjectError(f"{doing}: the API server cannot be reached ({reason}): check kubeconfig, context or host") from None


def said(error) -> str:
    """The message of the API server's Status."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        message = json.loads(error.body).get("message")
        if message:
            return message
    return f"{getattr(error, 'status', '')} {getattr(error, 'reason', '') or error}".strip()


def connect(module=None, **auth):
    """A client of the API server that a module's options, or these, mean. Raises ObjectError, CoreException."""
    with answered("connecting"):
        return get_api_client(module, **auth)


class Module(AnsibleModule):
    """One that tells nobody the password in an address that it is given."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        if hidden := password_in(self.params.get("url")):
            self.no_log_values.add(hidden)


def manage(kind: str, spec: dict, fields, *, is_frozen: bool = False, tell=None, **rules) -> None:
    """The whole of a module that keeps one object as it should be.

    `fields(params)` gives fields of the object's spec: a value, REMOVE, or None for what stays as it is. `tell(object)` is what is
    returned besides the object. With `is_frozen` the spec of an object that is there is not changed.
    """
    module = AnsibleK8SModule(module_class=Module, argument_spec={**COMMON, **spec}, supports_check_mode=True, **rules)
    try:
        objects = Objects(connect(module), kind)
        wanted = Wanted(objects, module.params, module.check_mode, is_frozen)
        result = wanted.absent() if module.params["state"] == "absent" else wanted.present(fields(module.params))
    except ObjectError as error:
        module.fail_json(msg=str(error), **({} if error.found is None else {"result": shown(error.found)}))
    except CoreException as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result, **(tell(result["result"]) if tell else {}))


class Wanted:
    """One object, and the way to what is wanted of it."""

    def __init__(self, objects: Objects, params: dict, check_mode: bool, is_frozen: bool) -> None:
        self.objects, self.params, self.check_mode, self.is_frozen = objects, params, check_mode, is_frozen
        self.name, self.namespace = params["name"], params.get("namespace")
        self._end = time.monotonic() + params["wait_timeout"]

    def present(self, fields: dict) -> dict:
        """Makes or changes it, and waits until it is ready, if it may."""
        before, after = self._written(fields)
        changed = before is None or before["spec"] != after["spec"]
        diff = {"before": {} if before is None else {"spec": shown(before)["spec"]}, "after": {"spec": shown(after)["spec"]}}
        if self.params["wait"] and not self.check_mode:
            after = self._await_ready()
        return {"changed": changed, "diff": diff if changed else {"before": {}, "after": {}}, "result": shown(after)}

    def _written(self, fields: dict) -> tuple:
        """The object before and after."""
        for _attempt in range(CONFLICTS):
            before = self._living()
            if before is None:
                return None, self.objects.create(self._body(with_fields({}, fields)))
            spec = with_fields(before["spec"], fields)
            if spec == before["spec"]:
                return before, before
            self._check_frozen(before, spec)
            with contextlib.suppress(Changed):
                return before, self.objects.replace({**before, "spec": spec})
        raise Changed(f"{self._called} is being changed by somebody else all the time: run this again")

    def _living(self) -> dict | None:
        """The object, unless it is at its end: that is waited for."""
        found = self.objects.read(self.name, self.namespace)
        if found is None or not found["metadata"].get("deletionTimestamp"):
            return found
        if not self.params["wait"] or self.check_mode:
            raise ObjectError(f"{self._called} is being deleted: run this again when it is gone", found)
        self._await_gone()
        return None

    def _check_frozen(self, before: dict, spec: dict) -> None:
        if not self.is_frozen:
            return
        names = sorted(name for name in {*before["spec"], *spec} if before["spec"].get(name) != spec.get(name))
        raise ObjectError(
            f"{self._called} is there with another {', '.join(names)}, which cannot be changed: choose another name, "
            "or remove it first (state=absent)",
            before,
        )

    def absent(self) -> dict:
        """Deletes it, and waits for its end, if it may."""
        found = self.objects.read(self.name, self.namespace)
        if found is None:
            return {"changed": False, "diff": {"before": {}, "after": {}}, "result": {}}
        is_new = not found["metadata"].get("deletionTimestamp")
        if is_new:
            self.objects.delete(self.name, self.namespace)
        if self.params["wait"] and not self.check_mode:
            self._await_gone()
        diff = {"before": {"spec": shown(found)["spec"]} if is_new else {}, "after": {}}
        return {"changed": is_new, "diff": diff, "result": {}}

    def _await_ready(self) -> dict:
        while True:
            found = self.objects.read(self.name, self.namespace)
            if found is None:
                raise ObjectError(f"{self._called} was deleted by somebody else while it was waited for")
            if catalog_conditions.is_ready(found):
                return found
            if catalog_conditions.has_failed(found):
                raise ObjectError(f"{self._called} has failed: {catalog_conditions.why(found)}", found)
            self._pause(f"{self._called} is not ready", found)

    def _await_gone(self) -> None:
        while (found := self.objects.read(self.name, self.namespace)) is not None:
            self._pause(f"{self._called} is not gone", found)

    def _pause(self, sentence: str, found: dict) -> None:
        left_seconds = self._end - time.monotonic()
        if left_seconds <= 0:
            raise ObjectError(f"{sentence} after {self.params['wait_timeout']} s: {catalog_conditions.why(found)}", found)
        time.sleep(min(self.params["wait_sleep"], left_seconds))

    def _body(self, spec: dict) -> dict:
        metadata = {"name": self.name, **({"namespace": self.namespace} if self.namespace else {})}
        return {"apiVersion": API_VERSION, "kind": self.objects.kind, "metadata": metadata, "spec": spec}

    @property
    def _called(self) -> str:
        return catalog_conditions.called(self._body({}))


def with_fields(spec: dict, fields: dict) -> dict:
    """The spec with these fields: a value, REMOVE, or None for what stays as it is."""
    given = {name: value for name, value in fields.items() if value is not None}
    kept = {name: value for name, value in spec.items() if name not in given}
    return {**kept, **{name: value for name, value in given.items() if value is not REMOVE}}


def or_remove(value):
    """A field of its own for what is given empty: the API server takes no empty ones."""
    return REMOVE if value in ({}, []) else value


def from_secrets(params: dict):
    """The field parametersFrom."""
    given = params["parameters_from"]
    if given is None:
        return None
    return or_remove([{"secretKeyRef": {"name": each["secret"], "key": each["key"]}} for each in given])


def shown(found: dict) -> dict:
    """The object for people: without what only API servers need, a password in its address, and what transforms add to a Secret."""
    result = copy.deepcopy(found)
    if hidden := password_in((result.get("spec") or {}).get("url")):
        result["spec"]["url"] = result["spec"]["url"].replace(f":{hidden}@", f":{HIDDEN}@", 1)
    result["metadata"].pop("managedFields", None)
    (result["metadata"].get("annotations") or {}).pop(LAST_APPLIED, None)
    for transform in (result.get("spec") or {}).get("secretTransforms") or []:
        for name in ("value", "stringValue"):
            if name in (transform.get("addKey") or {}):
                transform["addKey"][name] = HIDDEN
    return result


def password_in(url: str | None) -> str | None:
    """The password that an address has. A Secret is the place for it, and yet controllers take it from there."""
    with contextlib.suppress(ValueError):
        return urllib.parse.urlsplit(url or "").password
    return None


def inform(kinds, spec: dict, keep=None) -> None:
    """The whole of a module that lists objects.

    `kinds` is theirs, or two: of the cluster's, and of a namespace's, which are meant when `namespace` is given. `keep(params, found,
    listed)` finds those that are meant, without it they are those of the name; `listed(kinds)` lists others of the same place.
    """
    module = AnsibleK8SModule(module_class=AnsibleModule, argument_spec={**LISTED, **spec}, supports_check_mode=True)
    params = module.params

    def listed(others, label_selectors=None):
        kind = others if isinstance(others, str) else others[1 if params["namespace"] else 0]
        return Objects(client, kind).list(params["namespace"], label_selectors)

    try:
        client = connect(module)
        found = (keep or by_name)(params, listed(kinds, params["label_selectors"]), listed)
    except (ObjectError, CoreException) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, resources=[shown(each) for each in found])


def by_name(params: dict, found: list, _listed=None) -> list:
    """Those of that Kubernetes name, or all."""
    return [each for each in found if params["name"] in (None, each["metadata"]["name"])]


def means(name: str | None, found: dict) -> bool:
    """Whether a name that people use is that of a class or plan: in the broker's catalog, or in Kubernetes. None means all."""
    return name in (None, found["spec"].get("externalName"), found["metadata"]["name"])
