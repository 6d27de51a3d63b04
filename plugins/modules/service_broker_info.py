#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service brokers of a Kubernetes cluster or namespace; the work is module_utils/catalog_objects.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_broker_info
short_description: Service brokers of a Kubernetes cluster or namespace
version_added: 0.3.0
description:
  - Lists the brokers of the service catalog, those of the whole cluster or those of one namespace.
extends_documentation_fragment:
  - apb.catalog.catalog_list
  - kubernetes.core.k8s_auth_options
author:
  - apb contributors (@apb-project)
options:
  name:
    description: Name of one broker. All if not given.
    type: str
  namespace:
    description: Namespace whose own ones are meant. Those of the whole cluster if not given.
    type: str
"""

EXAMPLES = r"""
- name: See whether the catalog of a broker has been read
  apb.catalog.service_broker_info:
    name: apb
  register: brokers

- name: Tell
  ansible.builtin.debug:
    msg: "{{ item.metadata.name }}: {{ item.status.lastConditionState }}"
  loop: "{{ brokers.resources }}"
  loop_control: {label: "{{ item.metadata.name }}"}
"""

RETURN = r"""
resources:
  description: The objects as they are, without C(managedFields), in the order of their names; an empty list if there are none.
  type: list
  elements: dict
  returned: success
"""

from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects


def main():
    catalog_objects.inform(("ClusterServiceBroker", "ServiceBroker"), {})


if __name__ == "__main__":
    main()
