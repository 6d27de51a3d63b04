#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/redis_acl_user.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_acl_user
short_description: One account of a Redis server
version_added: 0.1.0
description:
  - Makes an account of a Redis server exactly as described, or removes it and ends its connections.
extends_documentation_fragment:
  - apb.catalog.redis_login
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  name:
    description: Name of the account.
    type: str
    required: true
  password:
    description: Its password.
    type: str
  password_hashes:
    description: SHA-256 hashes of its passwords, besides O(password).
    type: list
    elements: str
  rules:
    description: Keys, channels and commands it may use, as in Redis' C(ACL SETUSER). They are everything it may do.
    type: list
    elements: str
    default: []
  rules_if_known:
    description: More commands it may use, as C(+command) or C(+command|subcommand), of which the server need not have all.
    type: list
    elements: str
    default: []
  save:
    description: Write the accounts to the server's ACL file, or without one to its configuration file, so that they survive a restart.
    type: bool
    default: true
  state:
    description: Whether there is such an account. Without a server there is none, see RV(refused).
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Let an application read
  apb.catalog.redis_acl_user:
    host: 127.0.0.1
    port: 21000
    login_user: apb_admin
    login_password: "{{ admin_password }}"
    name: reports
    password: "{{ reports_password }}"
    rules: ["%R~*", "+@read", "+@connection", "-@admin", "-@dangerous"]
"""

RETURN = r"""
refused:
  description: Whether it failed because nothing listens at the address, not even after O(wait_seconds).
  type: bool
  returned: failure
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import redis_acl_user
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import IMPORT_ERROR, RedisError


def main():
    module = AnsibleModule(argument_spec=redis_acl_user.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("redis"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**redis_acl_user.work(module.params, module.check_mode))
    except RedisError as error:
        module.fail_json(msg=str(error), refused=error.refused)


if __name__ == "__main__":
    main()
