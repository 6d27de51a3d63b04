#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of services of a Kubernetes cluster or namespace; the work is module_utils/catalog_objects.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_plan_info
short_description: Plans of services of a Kubernetes cluster or namespace
version_added: 0.3.0
description:
  - Lists the plans of the service catalog's services, those of the brokers of the whole cluster or those of one namespace.
  - What parameters a plan takes is in C(spec.instanceCreateParameterSchema).
extends_documentation_fragment:
  - apb.catalog.catalog_list
  - kubernetes.core.k8s_auth_options
author:
  - apb contributors (@apb-project)
options:
  name:
    description: Name of one plan, in the broker's catalog or in Kubernetes. All if not given.
    type: str
  namespace:
    description: Namespace whose own ones are meant. Those of the whole cluster if not given.
    type: str
  class:
    description: Name of the service whose plans are meant, in the broker's catalog or in Kubernetes. Those of all if not given.
    type: str
"""

EXAMPLES = r"""
- name: See the plans of a service
  apb.catalog.service_plan_info:
    class: redis
  register: plans

- name: Tell
  ansible.builtin.debug:
    msg: "{{ item.spec.externalName }}: {{ item.spec.description }}"
  loop: "{{ plans.resources }}"
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

CLASSES = ("ClusterServiceClass", "ServiceClass")


def keep(params, found, listed):
    """The objects that are meant."""
    named = [each for each in found if catalog_objects.means(params["name"], each)]
    if params["class"] is None:
        return named
    classes = {each["metadata"]["name"] for each in listed(CLASSES) if catalog_objects.means(params["class"], each)}
    return [each for each in named if class_of(each) in classes]


def class_of(plan):
    """The Kubernetes name of a plan's class."""
    spec = plan["spec"]
    return (spec.get("clusterServiceClassRef") or spec.get("serviceClassRef") or {}).get("name")


def main():
    catalog_objects.inform(("ClusterServicePlan", "ServicePlan"), {"class": dict(type="str")}, keep)


if __name__ == "__main__":
    main()
