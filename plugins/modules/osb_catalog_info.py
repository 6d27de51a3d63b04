#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/osb_catalog.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: osb_catalog_info
short_description: What an Open Service Broker offers
version_added: 0.3.0
description:
  - Reads the catalog of a broker, its services, their plans, and the schemas of what their parameters may be.
extends_documentation_fragment:
  - apb.catalog.osb
author:
  - apb contributors (@apb-project)
attributes:
  check_mode:
    description: Changes nothing anyway.
    support: full
options:
  service:
    description: Name or id of one service. All if not set.
    type: str
"""

EXAMPLES = r"""
- name: See what there is
  apb.catalog.osb_catalog_info:
    url: http://127.0.0.1:8780
    username: admin
    password: "{{ broker_password }}"
  register: catalog

- name: List the plans of all services
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.plans | map(attribute='name') | join(', ') }}"
  loop: "{{ catalog.services }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
services:
  description: The services as the broker writes them, see the Open Service Broker API.
  type: list
  elements: dict
  returned: success
  sample:
    - name: redis
      id: e613f7f5-a211-4a59-b5ac-c67788a997b8
      description: In-memory key-value store
      bindable: true
      plans:
        - {name: redis-standard, id: 62458eb8-2798-4833-a4a9-7d7515e9d5b5, description: One dedicated server}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apb.catalog.plugins.module_utils import osb, osb_catalog


def main():
    module = AnsibleModule(argument_spec=osb_catalog.SPEC, supports_check_mode=True, **osb_catalog.RULES)
    try:
        module.exit_json(**osb_catalog.work(module.params, module.check_mode))
    except osb.OsbError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
