#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A binding of an instance; the work is module_utils/catalog_objects.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_binding
short_description: Credentials of an instance, in a Secret of a Kubernetes namespace
version_added: 0.3.0
description:
  - Has an account of its own made on an instance (C(ServiceBinding)), or takes it back. Its credentials are kept in a Secret of the same
    namespace.
  - Credentials are never returned. Pods read the Secret, playbooks the lookup P(apb.catalog.credentials#lookup).
  - Bindings do not change. Other parameters are another binding.
extends_documentation_fragment:
  - apb.catalog.catalog_object
  - apb.catalog.catalog_object.namespace
  - apb.catalog.catalog_object.parameters
  - kubernetes.core.k8s_auth_options
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  instance:
    description: Name of the ServiceInstance, of the same namespace. Required when O(state=present).
    type: str
  secret_name:
    description: Name of the Secret. That of the binding if not given.
    type: str
  secret_transforms:
    description: What is done to the credentials before they are kept, in this order. Each step is one of these.
    type: list
    elements: dict
    suboptions:
      rename_key:
        description: Gives a key another name.
        type: dict
        suboptions:
          from:
            description: The key as it is.
            type: str
            required: true
          to:
            description: The key as it shall be.
            type: str
            required: true
      add_key:
        description: Adds a key.
        type: dict
        suboptions:
          key:
            description: The key.
            type: str
            required: true
          value:
            description: Its value, bytes in base64.
            type: str
          string_value:
            description: Its value, a text.
            type: str
          json_path_expression:
            description: Its value, made of the credentials, such as C({.host}:{.port}).
            type: str
      add_keys_from:
        description: Name of a Secret of the same namespace, all of whose keys are added.
        type: str
      remove_key:
        description: A key that is left out.
        type: str
  external_id:
    description: Id of the binding at the broker, made by the controller if not given.
    type: str
"""

EXAMPLES = r"""
- name: Have an account of the shop on the database
  apb.catalog.service_binding:
    name: orders-shop
    namespace: shop
    instance: orders

- name: Have one for reading, in a Secret as a certain program wants it
  apb.catalog.service_binding:
    name: orders-reports
    namespace: shop
    instance: orders
    secret_name: reports-database
    parameters: {access: read}
    secret_transforms:
      - rename_key: {from: username, to: user}
      - add_key: {key: address, json_path_expression: "{.host}:{.port}"}

- name: Configure the shop
  ansible.builtin.template:
    src: shop.conf.j2 # … {{ database.uri }} …
    dest: /etc/shop.conf
    mode: "0600"
  vars:
    database: "{{ lookup('apb.catalog.credentials', 'orders-shop', namespace='shop') }}"
  no_log: true
"""

RETURN = r"""
result:
  description: The object as it is, without C(managedFields); empty when it is gone.
  type: dict
  returned: always, also when it is there and the task fails
secret_name:
  description: Name of the Secret with the credentials.
  type: str
  returned: success
"""

from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects

STEPS = dict(
    rename_key=dict(type="dict", options={"from": dict(type="str", required=True), "to": dict(type="str", required=True)}, no_log=False),
    add_key=dict(
        type="dict",
        no_log=False,
        options=dict(
            key=dict(type="str", required=True, no_log=False),
            value=dict(type="str", no_log=True),
            string_value=dict(type="str", no_log=True),
            json_path_expression=dict(type="str"),
        ),
        mutually_exclusive=[("value", "string_value", "json_path_expression")],
        required_one_of=[("value", "string_value", "json_path_expression")],
    ),
    add_keys_from=dict(type="str", no_log=False),
    remove_key=dict(type="str", no_log=False),
)
SPEC = dict(
    **catalog_objects.NAMESPACE,
    instance=dict(type="str"),
    secret_name=dict(type="str", no_log=False),
    parameters=dict(type="dict"),
    **catalog_objects.FROM_SECRETS,
    secret_transforms=dict(
        type="list", elements="dict", no_log=False, options=STEPS, mutually_exclusive=[tuple(STEPS)], required_one_of=[tuple(STEPS)]
    ),
    external_id=dict(type="str"),
)


def fields(params):
    """Fields of the spec."""
    return {
        "instanceRef": {"name": params["instance"]},
        "secretName": params["secret_name"],
        "parameters": catalog_objects.or_remove(params["parameters"]),
        "parametersFrom": catalog_objects.from_secrets(params),
        "secretTransforms": transforms(params["secret_transforms"]),
        "externalID": params["external_id"],
    }


def transforms(steps):
    """The field secretTransforms."""
    return None if steps is None else catalog_objects.or_remove([transform(step) for step in steps])


def transform(step):
    """One of its entries."""
    if step["rename_key"]:
        return {"renameKey": step["rename_key"]}
    if step["add_keys_from"]:
        return {"addKeysFrom": {"secretRef": {"name": step["add_keys_from"]}}}
    if step["remove_key"]:
        return {"removeKey": {"key": step["remove_key"]}}
    names = {"key": "key", "value": "value", "string_value": "stringValue", "json_path_expression": "jsonPathExpression"}
    return {"addKey": {names[name]: value for name, value in step["add_key"].items() if value is not None}}


def tell(found):
    """What is returned besides the object."""
    return {"secret_name": (found.get("spec") or {}).get("secretName") or (found.get("metadata") or {}).get("name")}


def main():
    catalog_objects.manage("ServiceBinding", SPEC, fields, is_frozen=True, tell=tell, required_if=[("state", "present", ("instance",))])


if __name__ == "__main__":
    main()
