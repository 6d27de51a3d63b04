#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/redis_survey.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_survey
short_description: List accounts and shares on Redis servers
version_added: 0.2.0
description:
  - Lists the accounts of bindings on servers of instances, and the accounts and keys of shares on servers that many use.
  - Accounts and keys that are named otherwise are not listed.
extends_documentation_fragment:
  - apb.catalog.check_diff
attributes:
  diff_mode:
    support: none
requirements:
  - redis (Python library) on the host that runs the module
author:
  - apb contributors (@apb-project)
options:
  servers:
    description: The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      slug:
        description: Name of the instance whose own server it is. Without one it is a server that many share.
        type: str
      host:
        description: Address of the server.
        type: str
        required: true
      port:
        description: Port of the server.
        type: int
        required: true
      login_user:
        description: Account to log in with. It needs all rights.
        type: str
        required: true
      login_password:
        description: Its password.
        type: str
        required: true
  username:
    description: Regular expression of the names that accounts of bindings have.
    type: str
    required: true
  prefix:
    description: Regular expression of what the keys of a share begin with.
    type: str
    required: true
  keys:
    description: The same as a pattern of Redis, for whole keys.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See what is on the server
  apb.catalog.redis_survey:
    servers:
      - {host: redis.example.com, port: 6379, login_user: apb, login_password: "{{ apb_password }}"}
    username: "b[0-9a-f]{12}"
    prefix: "redis-[0-9a-f]{12}:"
    keys: "redis-????????????:*"
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
from ansible_collections.apb.catalog.plugins.module_utils import redis_survey
from ansible_collections.apb.catalog.plugins.module_utils.redis_connection import IMPORT_ERROR, RedisError


def main():
    module = AnsibleModule(argument_spec=redis_survey.SPEC, supports_check_mode=True)
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("redis"), exception="".join(traceback.format_exception(IMPORT_ERROR)))
    try:
        module.exit_json(**redis_survey.work(module.params, module.check_mode))
    except RedisError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
