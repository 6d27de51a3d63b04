#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/supervised_program.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: supervised_program
short_description: Run a server under the supervisord of a host
version_added: 0.1.0
description:
  - Writes a program's section of supervisord's configuration and makes supervisord run the program by it.
  - The program is started again when it ends, and ends with supervisord.
  - It works also while another run adds or removes programs, and when a program keeps failing to start.
extends_documentation_fragment:
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  directory:
    description: Directory of supervisord, made by the playbook C(apb.catalog.prepare_host).
    type: path
    required: true
  name:
    description: Name of the program.
    type: str
    required: true
  command:
    description: Program and arguments. The program is looked up on PATH. Required for O(state=present).
    type: list
    elements: str
  environment:
    description: Environment variables, on top of supervisord's own.
    type: dict
    default: {}
  working_directory:
    description: Directory the program starts in. Required for O(state=present).
    type: path
  user:
    description: System user the program runs as. Only root can choose.
    type: str
  stop_seconds:
    description: How long the program may take to stop before it is killed.
    type: int
    default: 60
  state:
    description: Whether the program runs, or is stopped and forgotten.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Run the server
  apb.catalog.supervised_program:
    directory: /var/lib/apb/host/supervisor
    name: redis-3f9a0c12ab4e
    command: [redis-server, /var/lib/apb/host/instances/redis-3f9a0c12ab4e/redis.conf]
    working_directory: /var/lib/apb/host/instances/redis-3f9a0c12ab4e
    user: apb-redis-3f9a0c12ab4e
"""

RETURN = r""" # """

import http.client
import xmlrpc.client

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apb.catalog.plugins.module_utils import supervised_program
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError


def main():
    module = AnsibleModule(argument_spec=supervised_program.SPEC, required_if=supervised_program.REQUIRED_IF, supports_check_mode=True)
    try:
        module.exit_json(**supervised_program.work(module.params, module.check_mode))
    except (HostError, OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
