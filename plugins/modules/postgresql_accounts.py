#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/postgresql_accounts.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_accounts
short_description: Accounts of a tenant's PostgreSQL database
version_added: 0.1.0
description:
  - Makes accounts as described, all or none. What one of them makes belongs to O(owner), so that the others can use and change it.
  - Removing one ends its sessions. What it made stays, and belongs to O(owner).
  - Roles that were not made by this module are never changed.
extends_documentation_fragment:
  - apb.catalog.postgresql_login
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  admin_database:
    description: Database to connect to where the work cannot be done from inside O(database).
    type: str
    default: postgres
  owner:
    description: Role that owns everything in the database. It cannot log in.
    type: str
    required: true
  reader:
    description: Role that may read everything in the database. It cannot log in.
    type: str
    required: true
  accounts:
    description: The accounts. Others are left as they are.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      password:
        description: Its password. It reaches the server as a SCRAM verifier only. Needed unless O(state=absent).
        type: str
      access:
        description: What it may do.
        type: str
        choices: [readwrite, read]
        default: readwrite
  state:
    description: Whether there are such accounts.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Let an application read
  apb.catalog.postgresql_accounts:
    host: db.example.com
    port: 5432
    login_user: apb
    login_password: "{{ admin_password }}"
    database: shop
    owner: shop
    reader: shop_read
    accounts:
      - name: reports
        password: "{{ reports_password }}"
        access: read
"""

RETURN = r"""
msg:
  description: What is, or was, different. Empty if nothing is.
  type: str
  returned: success
  sample: there is no account reports
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import postgresql_accounts
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import IMPORT_ERROR, PostgresqlError


def main():
    module = AnsibleModule(argument_spec=postgresql_accounts.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("psycopg"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**postgresql_accounts.work(module.params, module.check_mode))
    except PostgresqlError as error:
        module.fail_json(msg=str(error), out_of_reach=error.out_of_reach)


if __name__ == "__main__":
    main()
