#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bindings of Kubernetes namespaces; the work is module_utils/catalog_objects.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_binding_info
short_description: Bindings of Kubernetes namespaces
version_added: 0.3.0
description:
  - Lists the bindings of a namespace, or of all. Credentials are in their Secrets, and not returned.
extends_documentation_fragment:
  - apb.catalog.catalog_list
  - kubernetes.core.k8s_auth_options
author:
  - apb contributors (@apb-project)
options:
  name:
    description: Name of one binding. All if not given.
    type: str
  namespace:
    description: Namespace of the bindings. All if not given.
    type: str
  instance:
    description: Name of the ServiceInstance whose bindings are meant. Those of all if not given.
    type: str
"""

EXAMPLES = r"""
- name: See who uses the database
  apb.catalog.service_binding_info:
    namespace: shop
    instance: orders
  register: bindings

- name: Tell
  ansible.builtin.debug:
    msg: "{{ bindings.resources | map(attribute='metadata.name') | join(', ') }}"
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
    named = catalog_objects.by_name(params, found)
    return [each for each in named if params["instance"] in (None, (each["spec"].get("instanceRef") or {}).get("name"))]


def main():
    catalog_objects.inform("ServiceBinding", dict(instance=dict(type="str")), keep)


if __name__ == "__main__":
    main()
