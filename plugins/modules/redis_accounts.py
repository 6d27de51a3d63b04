#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/redis_accounts.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_accounts
short_description: Accounts of a Redis server, several at once
version_added: 0.1.0
description:
  - Makes accounts of a Redis server exactly as described. Accounts that are not named are left alone.
  - Writes them to the server's ACL file, or without one to its configuration file, so that they survive a restart.
extends_documentation_fragment:
  - apb.catalog.redis_login
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  accounts:
    description: The accounts.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      password:
        description: Its password.
        type: str
      password_hashes:
        description: SHA-256 hashes of its passwords, besides O(accounts[].password).
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
"""

EXAMPLES = r"""
- name: Let applications read and write their own keys
  apb.catalog.redis_accounts:
    host: 127.0.0.1
    port: 21000
    login_user: apb_admin
    login_password: "{{ admin_password }}"
    accounts:
      - name: shop
        password: "{{ shop_password }}"
        rules: ["~shop:*", "+@read", "+@write", "-@dangerous"]
      - name: reports
        password: "{{ reports_password }}"
        rules: ["%R~shop:*", "+@read", "-@dangerous"]
"""

RETURN = r"""
msg:
  description: Which accounts are, or were, different. Empty if none is.
  type: str
  returned: success
  sample: account shop is missing; account reports differs
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import redis_accounts
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import IMPORT_ERROR, RedisError


def main():
    module = AnsibleModule(argument_spec=redis_accounts.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("redis"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**redis_accounts.work(module.params, module.check_mode))
    except RedisError as error:
        module.fail_json(msg=str(error), out_of_reach=error.out_of_reach)


if __name__ == "__main__":
    main()
