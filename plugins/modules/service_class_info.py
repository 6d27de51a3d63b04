#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of a Kubernetes cluster or namespace; the work is module_utils/catalog_objects.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_class_info
short_description: Services of a Kubernetes cluster or namespace
version_added: 0.3.0
description:
  - Lists the services of the service catalog, those of the brokers of the whole cluster or those of one namespace.
extends_documentation_fragment:
  - apb.catalog.catalog_list
  - kubernetes.core.k8s_auth_options
author:
  - apb contributors (@apb-project)
options:
  name:
    description: Name of one service, in the broker's catalog or in Kubernetes. All if not given.
    type: str
  namespace:
    description: Namespace whose own ones are meant. Those of the whole cluster if not given.
    type: str
  broker:
    description: Name of the broker whose services are meant. Those of all if not given.
    type: str
"""

EXAMPLES = r"""
- name: See what there is
  apb.catalog.service_class_info:
  register: services

- name: Tell
  ansible.builtin.debug:
    msg: "{{ item.spec.externalName }}: {{ item.spec.description }}"
  loop: "{{ services.resources }}"
  loop_control: {label: "{{ item.spec.externalName }}"}
"""

RETURN = r"""
resources:
  description: The objects as they are, without C(managedFields), in the order of their names; an empty list if there are none.
  type: list
  elements: dict
  returned: success
"""

from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects


def keep(params, found, _listed):
    """The objects that are meant."""
    brokers = ("clusterServiceBrokerName", "serviceBrokerName")
    return [
        each
        for each in found
        if catalog_objects.means(params["name"], each) and params["broker"] in (None, *(each["spec"].get(field) for field in brokers))
    ]


def main():
    catalog_objects.inform(("ClusterServiceClass", "ServiceClass"), dict(broker=dict(type="str")), keep)


if __name__ == "__main__":
    main()
