#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of services in Kubernetes namespaces; the work is module_utils/catalog_objects.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_instance_info
short_description: Instances of services in Kubernetes namespaces
version_added: 0.3.0
description:
  - Lists the instances of a namespace, or of all.
extends_documentation_fragment:
  - apb.catalog.catalog_list
  - kubernetes.core.k8s_auth_options
author:
  - apb contributors (@apb-project)
options:
  name:
    description: Name of one instance. All if not given.
    type: str
  namespace:
    description: Namespace of the instances. All if not given.
    type: str
"""

EXAMPLES = r"""
- name: See what the shop has
  apb.catalog.service_instance_info:
    namespace: shop
  register: instances

- name: Tell
  ansible.builtin.debug:
    msg: "{{ item.metadata.name }}: {{ item.status.lastConditionState }}"
  loop: "{{ instances.resources }}"
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
    catalog_objects.inform("ServiceInstance", {})


if __name__ == "__main__":
    main()
