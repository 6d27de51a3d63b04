#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/postgresql_survey.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_survey
short_description: List tenants' databases and accounts on a PostgreSQL server
version_added: 0.2.0
description:
  - Lists the databases of tenants, the two roles of each, and the accounts of bindings.
  - What is named otherwise is not listed, nor are roles that were not made by P(apb.catalog.postgresql_accounts#module).
extends_documentation_fragment:
  - apb.catalog.postgresql_login
  - apb.catalog.check_diff
attributes:
  diff_mode:
    support: none
author:
  - apb contributors (@apb-project)
options:
  admin_database:
    description: Database to connect to.
    type: str
    default: postgres
  database:
    description: Regular expression of the names that tenants' databases have.
    type: str
    required: true
  username:
    description: Regular expression of the names that accounts of bindings have.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See what is on the server
  apb.catalog.postgresql_survey:
    host: db.example.com
    port: 5432
    login_user: apb
    login_password: "{{ admin_password }}"
    database: "postgresql_[0-9a-f]{12}"
    username: "b[0-9a-f]{12}"
"""

RETURN = r"""
things:
  description: What is there. Each has RV(ignore:kind), RV(ignore:name), RV(ignore:slug) of its instance, and RV(ignore:detail).
  type: list
  elements: dict
  returned: success
expects:
  description: Of which kinds every instance and every binding has to have one.
  type: dict
  returned: success
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import postgresql_survey
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import IMPORT_ERROR, PostgresqlError


def main():
    module = AnsibleModule(argument_spec=postgresql_survey.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("psycopg"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**postgresql_survey.work(module.params, module.check_mode))
    except PostgresqlError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
