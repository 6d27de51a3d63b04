#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/host_survey.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_survey
short_description: List what instances have on a host
version_added: 0.2.0
description:
  - Lists the directories, programs or units, system users and processes of service instances on a host, what their runs left in
    Ansible's temporary directory, and who listens on their ports.
  - What is named otherwise, or belongs to another directory, is not listed, but for listeners on the ports.
extends_documentation_fragment:
  - apb.catalog.check_diff
attributes:
  diff_mode:
    support: none
author:
  - apb contributors (@apb-project)
options:
  directory:
    description: Directory of all instances on this host.
    type: path
    required: true
  slugs:
    description: Regular expressions of the names that instances have.
    type: list
    elements: str
    required: true
  ports:
    description: First and last port that instances get.
    type: list
    elements: int
    default: []
"""

EXAMPLES = r"""
- name: See what is there
  apb.catalog.host_survey:
    directory: /var/lib/apb/host
    slugs: ["redis-[0-9a-f]{12}"]
    ports: [21000, 21999]
"""

RETURN = r"""
things:
  description: What is there. Each has RV(ignore:kind), RV(ignore:name), RV(ignore:slug) of its instance, and RV(ignore:detail).
  type: list
  elements: dict
  returned: success
expects:
  description: Of which kinds every instance has to have one.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apb.catalog.plugins.module_utils import host_survey
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError


def main():
    module = AnsibleModule(argument_spec=host_survey.SPEC, supports_check_mode=True)
    try:
        module.exit_json(**host_survey.work(module.params, module.check_mode, module._remote_tmp))
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
