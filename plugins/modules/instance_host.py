#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/instance_host.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_host
short_description: Make a host ready for instances
version_added: 0.1.0
description:
  - Makes the directory of all service instances on a host.
  - Starts a supervisord for their servers, unless systemd runs the host and the module runs as root.
  - A supervisord that was killed is started again, and its programs with it.
extends_documentation_fragment:
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  directory:
    description: Directory of all instances on this host, at most 71 characters.
    type: path
    required: true
  supervisor_places:
    description: Directories to look for supervisord in, before that of the host's Python and PATH.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Make the host ready
  apb.catalog.instance_host:
    directory: /var/lib/apb/host
"""

RETURN = r"""
supervisor:
  description: What runs servers on this host, V(systemd) or V(supervisord).
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apb.catalog.plugins.module_utils import instance_host
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError


def main():
    module = AnsibleModule(argument_spec=instance_host.SPEC, supports_check_mode=True)
    try:
        module.exit_json(**instance_host.work(module.params, module.check_mode))
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
