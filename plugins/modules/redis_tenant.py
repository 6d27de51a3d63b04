#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/redis_tenant.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_tenant
short_description: A tenant's share of a Redis server
version_added: 0.1.0
description:
  - A share is the keys with one prefix, and the accounts whose keys are limited to that prefix.
  - With O(state=present) it only checks that the server can be shared, and says what to do otherwise.
    The server has to be Redis 7.0 or newer and no node of a cluster, must not let anybody in without a password,
    and has to keep its accounts in a file.
  - With O(state=absent) it removes the accounts, ends their connections, and removes the keys from all databases of the server.
extends_documentation_fragment:
  - apb.catalog.redis_login
  - apb.catalog.check_diff
attributes:
  diff_mode:
    support: none
author:
  - apb contributors (@apb-project)
options:
  prefix:
    description: What the names of all keys of the tenant begin with. It ends with V(:).
    type: str
    required: true
  state:
    description: Whether there is to be such a share.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Remove a tenant with its accounts and keys
  apb.catalog.redis_tenant:
    host: redis.example.com
    port: 6379
    login_user: apb
    login_password: "{{ apb_password }}"
    prefix: "redis-3f9a0c12ab4e:"
    state: absent
"""

RETURN = r"""
msg:
  description: What was removed. Empty if nothing was.
  type: str
  returned: success
  sample: 2 accounts, 130 keys
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import redis_tenant
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import IMPORT_ERROR, RedisError


def main():
    module = AnsibleModule(argument_spec=redis_tenant.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("redis"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**redis_tenant.work(module.params, module.check_mode))
    except RedisError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
