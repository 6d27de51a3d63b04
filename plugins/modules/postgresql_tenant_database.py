#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/postgresql_tenant_database.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_tenant_database
short_description: A database of one tenant on a PostgreSQL server of many
version_added: 0.1.0
description:
  - Makes an existing database one tenant's, with an owner role and a role that reads, closed to everybody else.
  - Or removes the database and its roles.
  - The tenant owns what is in the database and not the database itself, so it cannot lift O(connections).
  - As a superuser it also hides O(hidden), and sets up an event trigger that keeps ownership and extensions in order.
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
  connections:
    description: How many connections the database takes in all. Superusers are not counted. V(-1) is no limit.
    type: int
    default: -1
  hidden:
    description:
      - System relations, and functions with V((\)) behind the name, that only superusers may use in this database.
      - What is not in the list is given back to everybody, where PostgreSQL gives it by itself. Without a superuser nothing is hidden.
    type: list
    elements: str
    default: []
  closed_databases:
    description: Other databases of the server from which the right of everybody to connect is taken.
    type: list
    elements: str
    default: []
  state:
    description: With V(absent) the database goes with all its sessions, and then its roles and accounts.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Give a database to a tenant
  apb.catalog.postgresql_tenant_database:
    host: db.example.com
    port: 5432
    login_user: apb
    login_password: "{{ admin_password }}"
    database: shop
    owner: shop
    reader: shop_read
    connections: 20
"""

RETURN = r"""
msg:
  description: What is, or was, different. Empty if nothing is.
  type: str
  returned: success
  sample: everybody may enter shop
open_databases:
  description: Other databases that every account of the server may enter.
  type: list
  elements: str
  returned: when present
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import postgresql_tenant_database
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import IMPORT_ERROR, PostgresqlError


def main():
    module = AnsibleModule(argument_spec=postgresql_tenant_database.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("psycopg"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**postgresql_tenant_database.work(module.params, module.check_mode))
    except PostgresqlError as error:
        module.fail_json(msg=str(error), out_of_reach=error.out_of_reach)


if __name__ == "__main__":
    main()
