#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/redis_config.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_config
short_description: Settings of a running Redis server
version_added: 0.1.0
description:
  - Waits until a Redis server answers, and changes its settings without a restart.
  - Settings in its configuration file are not touched.
extends_documentation_fragment:
  - apb.catalog.redis_login
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  settings:
    description: Settings and their values, written as the server gives them back. Sizes are in bytes.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Give the server half a gigabyte
  apb.catalog.redis_config:
    host: 127.0.0.1
    port: 21000
    login_user: apb_admin
    login_password: "{{ admin_password }}"
    wait_seconds: 30
    settings:
      maxmemory: 536870912
"""

RETURN = r"""
msg:
  description: What is, or was, different. Empty if nothing is.
  type: str
  returned: success
  sample: maxmemory is 0, not 536870912
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apb.catalog.plugins.module_utils import redis_config
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import IMPORT_ERROR, RedisError


def main():
    module = AnsibleModule(argument_spec=redis_config.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("redis"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**redis_config.work(module.params, module.check_mode))
    except RedisError as error:
        module.fail_json(msg=str(error), out_of_reach=error.out_of_reach)


if __name__ == "__main__":
    main()
