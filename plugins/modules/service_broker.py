#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A broker of one namespace; the work is module_utils/catalog_objects.py's and catalog_brokers.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_broker
short_description: Service broker of a Kubernetes namespace
version_added: 0.3.0
description:
  - Registers a broker in the service catalog of one namespace (C(ServiceBroker)). The Secret of its login is of the same namespace.
  - It is ready when its catalog has been read.
extends_documentation_fragment:
  - apb.catalog.catalog_object
  - apb.catalog.catalog_object.namespace
  - apb.catalog.catalog_broker
  - kubernetes.core.k8s_auth_options
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
"""

EXAMPLES = r"""
- name: Offer Redis in the namespace shop, and nothing else of that broker
  apb.catalog.service_broker:
    name: apb
    namespace: shop
    url: https://apb.example.com
    auth_secret: apb-login
    class_restrictions: [spec.externalName=redis]
"""

RETURN = r"""
result:
  description: The object as it is, without C(managedFields); empty when it is gone.
  type: dict
  returned: always, also when it is there and the task fails
"""

from ansible_collections.apb.catalog.plugins.module_utils import catalog_brokers, catalog_objects


def main():
    catalog_objects.manage(
        "ServiceBroker", {**catalog_objects.NAMESPACE, **catalog_brokers.SPEC}, catalog_brokers.fields, **catalog_brokers.RULES
    )


if __name__ == "__main__":
    main()
