#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/postgresql_init.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_init
short_description: SQL that is run once in a PostgreSQL database
version_added: 0.1.0
description:
  - Runs SQL in one transaction as the account that logs in, unless the same SQL was run in this database before.
  - The database has to be made by M(apb.catalog.postgresql_tenant_database), which makes the table C(apb.inits) with the checksums.
  - C(COMMIT), C(VACUUM), C(COPY FROM STDIN) and what else cannot be run inside a function is refused.
extends_documentation_fragment:
  - apb.catalog.postgresql_login
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  sql:
    description: The statements. Messages never show strings of it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Make the first tables
  apb.catalog.postgresql_init:
    host: db.example.com
    port: 5432
    login_user: shop_app
    login_password: "{{ shop_password }}"
    database: shop
    sql: CREATE TABLE orders (id bigint PRIMARY KEY, made timestamptz NOT NULL);
"""

RETURN = r"""
sha256:
  description: Checksum of the SQL.
  type: str
  returned: success
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import postgresql_init
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import IMPORT_ERROR, PostgresqlError


def main():
    module = AnsibleModule(argument_spec=postgresql_init.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("psycopg"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**postgresql_init.work(module.params, module.check_mode))
    except PostgresqlError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
