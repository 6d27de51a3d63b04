#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance of a service; the work is module_utils/catalog_objects.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_instance
short_description: Instance of a service in a Kubernetes namespace
version_added: 0.3.0
description:
  - Orders an instance of a service from the service catalog of a cluster (C(ServiceInstance)), changes it, or gives it back.
  - What is not given stays as it is.
extends_documentation_fragment:
  - apb.catalog.catalog_object
  - apb.catalog.catalog_object.namespace
  - apb.catalog.catalog_object.parameters
  - kubernetes.core.k8s_auth_options
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  class:
    description: The service. Required when O(state=present). It cannot be changed.
    type: str
  plan:
    description: The service's plan. May be left out where there is one only.
    type: str
  by:
    description: What O(class) and O(plan) are, names or ids of the broker's catalog, or names of their objects in Kubernetes.
    type: str
    choices: [external_name, external_id, kubernetes_name]
    default: external_name
  scope:
    description: Whether the service is of a broker of the whole V(cluster), or of the V(namespace).
    type: str
    choices: [cluster, namespace]
    default: cluster
  external_id:
    description: Id of the instance at the broker, made by the controller if not given. It cannot be changed.
    type: str
  update_requests:
    description: A number that, raised, has the broker called again though nothing else has changed, as after a change of a Secret.
    type: int
"""

EXAMPLES = r"""
- name: Have a database
  apb.catalog.service_instance:
    name: orders
    namespace: shop
    class: postgresql
    plan: postgresql-tenant
  register: orders

- name: Tell where it is
  ansible.builtin.debug:
    var: orders.connection

- name: Have a cache, with a parameter that is secret
  apb.catalog.service_instance:
    name: cache
    namespace: shop
    class: redis
    plan: redis-standard
    parameters: {memory: 0.5}
    parameters_from:
      - {secret: cache-parameters, key: parameters.json}

- name: Give the database back, with its data
  apb.catalog.service_instance:
    name: orders
    namespace: shop
    state: absent
"""

RETURN = r"""
result:
  description: The object as it is, without C(managedFields); empty when it is gone.
  type: dict
  returned: always, also when it is there and the task fails
connection:
  description: Where the instance is reached, as its broker tells; never secret. Credentials are what a ServiceBinding has.
  type: dict
  returned: success
  sample: {host: 127.0.0.1, port: 31000}
dashboard_url:
  description: Where it is looked at and managed.
  type: str
  returned: success
"""

from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects

SPELLINGS = {"external_name": "ExternalName", "external_id": "ExternalID", "kubernetes_name": "Name"}
SPEC = {
    **catalog_objects.NAMESPACE,
    "class": dict(type="str"),
    "plan": dict(type="str"),
    "by": dict(type="str", choices=list(SPELLINGS), default="external_name"),
    "scope": dict(type="str", choices=["cluster", "namespace"], default="cluster"),
    "parameters": dict(type="dict"),
    **catalog_objects.FROM_SECRETS,
    "external_id": dict(type="str"),
    "update_requests": dict(type="int"),
}


def fields(params):
    """Fields of the spec."""
    prefix = "clusterService" if params["scope"] == "cluster" else "service"
    return {
        **spelled(f"{prefix}Class", params["class"], params["by"]),
        **spelled(f"{prefix}Plan", params["plan"], params["by"]),
        "parameters": catalog_objects.or_remove(params["parameters"]),
        "parametersFrom": catalog_objects.from_secrets(params),
        "externalID": params["external_id"],
        "updateRequests": params["update_requests"],
    }


def spelled(field, name, by):
    """The one of its three spellings that is meant; the other two go."""
    if name is None:
        return {}
    return {field + spelling: name if meant == by else catalog_objects.REMOVE for meant, spelling in SPELLINGS.items()}


def tell(found):
    """What is returned besides the object."""
    status = found.get("status") or {}
    return {"connection": status.get("connection") or {}, "dashboard_url": status.get("dashboardURL")}


def main():
    catalog_objects.manage("ServiceInstance", SPEC, fields, tell=tell, required_if=[("state", "present", ("class",))])


if __name__ == "__main__":
    main()
