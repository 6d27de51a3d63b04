#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/osb_instance.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: osb_instance
short_description: Instance of a service at an Open Service Broker
version_added: 0.3.0
description:
  - Orders an instance of a service from a broker, changes its plan or parameters, or gives it back. No Kubernetes is needed.
  - Its id at the broker is made from O(organization), O(space) and O(instance), so that the same task always means the same instance.
  - Parameters that are not named stay as they are.
extends_documentation_fragment:
  - apb.catalog.osb
  - apb.catalog.osb.place
  - apb.catalog.osb.wait
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  instance:
    description: What the instance is called.
    type: str
    required: true
    aliases: [name]
  instance_id:
    description: Its id at the broker, of an instance that somebody else made.
    type: str
  service:
    description: Name or id of the service in the broker's catalog. Required when O(state=present).
    type: str
  plan:
    description: Name or id of the service's plan. Required when O(state=present).
    type: str
  parameters:
    description: Parameters of the plan.
    type: dict
    default: {}
  secret_parameters:
    description:
      - More parameters, which are neither shown nor logged.
      - A broker does not tell them, so that they are compared by the broker itself; in check mode they are taken as unchanged.
    type: dict
    default: {}
  state:
    description: Whether there is such an instance. V(absent) removes its data too, and what a failed order has left.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Have a Redis
  apb.catalog.osb_instance:
    url: http://127.0.0.1:8780
    username: admin
    password: "{{ broker_password }}"
    name: cache
    service: redis
    plan: redis-standard
    parameters: {memory: 0.5}
  register: cache

- name: Tell where it is
  ansible.builtin.debug:
    var: cache.connection

- name: Give it back
  apb.catalog.osb_instance:
    url: http://127.0.0.1:8780
    username: admin
    password: "{{ broker_password }}"
    name: cache
    state: absent
"""

RETURN = r"""
instance_id:
  description: Its id at the broker.
  type: str
  returned: always
  sample: 1f0c2a4e-3c57-5d0e-9d7b-1f6f2d9b8a11
connection:
  description: Where it is reached, as brokers of apb tell; never secret. Credentials are what a binding has.
  type: dict
  returned: when O(state=present)
  sample: {host: 127.0.0.1, port: 31000}
dashboard_url:
  description: Where it is looked at and managed.
  type: str
  returned: when O(state=present)
in_progress:
  description: Whether the broker is still at work on it, which only is so when O(wait=false) or in check mode.
  type: bool
  returned: always
operation:
  description: The broker's name for the operation that goes on.
  type: str
  returned: when one was begun and O(wait=false)
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apb.catalog.plugins.module_utils import osb, osb_instance


def main():
    module = AnsibleModule(argument_spec=osb_instance.SPEC, supports_check_mode=True, **osb_instance.RULES)
    try:
        result = osb_instance.work(module.params, module.check_mode)
    except osb.OsbError as error:
        module.fail_json(msg=str(error))
    for sentence in result.pop("warnings"):
        module.warn(sentence)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
