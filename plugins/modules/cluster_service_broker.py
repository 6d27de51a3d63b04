#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A broker of the whole cluster; the work is module_utils/catalog_objects.py's and catalog_brokers.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_service_broker
short_description: Service broker of a Kubernetes cluster
version_added: 0.3.0
description:
  - Registers a broker in the service catalog of a cluster (C(ClusterServiceBroker)), so that its services are offered in all namespaces.
  - It is ready when its catalog has been read.
extends_documentation_fragment:
  - apb.catalog.catalog_object
  - apb.catalog.catalog_broker
  - kubernetes.core.k8s_auth_options
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  auth_secret_namespace:
    description: Namespace of O(auth_secret). Required with it.
    type: str
"""

EXAMPLES = r"""
- name: Offer what apb offers in the whole cluster
  apb.catalog.cluster_service_broker:
    name: apb
    url: https://apb.example.com
    auth_secret: apb-login
    auth_secret_namespace: apb
    ca_bundle: "{{ lookup('ansible.builtin.file', 'apb-ca.crt') }}"

- name: Offer it no longer
  apb.catalog.cluster_service_broker:
    name: apb
    state: absent
"""

RETURN = r"""
result:
  description: The object as it is, without C(managedFields); empty when it is gone.
  type: dict
  returned: always, also when it is there and the task fails
"""

from ansible_collections.apb.catalog.plugins.module_utils import catalog_brokers, catalog_objects

SPEC = dict(**catalog_brokers.SPEC, auth_secret_namespace=dict(type="str", no_log=False))


def main():
    rules = dict(**catalog_brokers.RULES, required_together=[("auth_secret", "auth_secret_namespace")])
    catalog_objects.manage("ClusterServiceBroker", SPEC, catalog_brokers.fields, **rules)


if __name__ == "__main__":
    main()
