#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/osb_binding.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: osb_binding
short_description: Binding of an instance at an Open Service Broker
version_added: 0.3.0
description:
  - Has a broker make an account of its own on an instance, or take it back. No Kubernetes is needed.
  - Its id at the broker is made from the instance's and its own name, so that the same task always means the same binding.
  - Bindings do not change. Other parameters are another binding.
  - Credentials are left at the broker, where the lookup P(apb.catalog.credentials#lookup) finds them, unless O(return_credentials=true).
extends_documentation_fragment:
  - apb.catalog.osb
  - apb.catalog.osb.place
  - apb.catalog.osb.wait
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  binding:
    description: What the binding is called, such as the application it is for.
    type: str
    required: true
    aliases: [name]
  binding_id:
    description: Its id at the broker, of a binding that somebody else made.
    type: str
  instance:
    description: What the instance is called. This or O(instance_id) is required.
    type: str
  instance_id:
    description: The instance's id at the broker, of an instance that somebody else made.
    type: str
  service:
    description: Name or id of the instance's service, with O(plan). Needed only where the broker does not tell it.
    type: str
  plan:
    description: Name or id of the instance's plan, with O(service). Needed only where the broker does not tell it.
    type: str
  parameters:
    description: Parameters of the binding.
    type: dict
    default: {}
  app_guid:
    description: Id of the application that it is for. Some services require one.
    type: str
  return_credentials:
    description: Whether RV(credentials) are returned. Give the task C(no_log=true) then.
    type: bool
    default: false
  state:
    description: Whether there is such a binding. V(absent) removes its account.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Have an account of the shop on the cache
  apb.catalog.osb_binding:
    url: http://127.0.0.1:8780
    username: admin
    password: "{{ broker_password }}"
    instance: cache
    name: shop
    parameters: {access: readwrite}

- name: Take it back
  apb.catalog.osb_binding:
    url: http://127.0.0.1:8780
    username: admin
    password: "{{ broker_password }}"
    instance: cache
    name: shop
    state: absent
"""

RETURN = r"""
instance_id:
  description: The instance's id at the broker.
  type: str
  returned: always
binding_id:
  description: The binding's id at the broker.
  type: str
  returned: always
expires_at:
  description: When the broker takes it back by itself, in UTC.
  type: str
  returned: when O(state=present)
  sample: "2026-12-24T18:00:00.0Z"
renew_before:
  description: When to have another one by.
  type: str
  returned: when O(state=present)
credentials:
  description: What an application logs in with.
  type: dict
  returned: when O(return_credentials=true) and it is there
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
from ansible_collections.apb.catalog.plugins.module_utils import osb, osb_binding


def main():
    module = AnsibleModule(argument_spec=osb_binding.SPEC, supports_check_mode=True, **osb_binding.RULES)
    try:
        module.exit_json(**osb_binding.work(module.params, module.check_mode))
    except osb.OsbError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
