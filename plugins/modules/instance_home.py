#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and arguments; the work is module_utils/instance_home.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_home
short_description: Give an instance its directory and system user on a host
version_added: 0.1.0
description:
  - Makes the directory of a service instance, and as root a system user of its own that owns it.
  - Remembers the highest epoch that worked on the instance, and refuses lower ones. This outlives the directory.
  - Ends what runs of the instance with a lower epoch left working on the host, which is found by the variables
    E(APB_INSTANCE) and E(APB_EPOCH) in its environment.
  - Removes what these runs left in Ansible's temporary directories on the host, where those are called C(apb-<slug>/<epoch>) by
    C(ansible_remote_tmp), as those of the broker's runs are.
  - Removing the directory also ends all processes of the instance.
extends_documentation_fragment:
  - apb.catalog.check_diff
author:
  - apb contributors (@apb-project)
options:
  directory:
    description: Directory of all instances on this host, made by the playbook C(apb.catalog.prepare_host).
    type: path
    required: true
  slug:
    description: Name of the instance on this host.
    type: str
    required: true
  epoch:
    description: Grows with every attempt of every operation.
    type: int
    required: true
  ports:
    description: Ports the instance is about to listen on. It fails when another program does already.
    type: list
    elements: int
    default: []
  state:
    description:
      - V(present) makes directory and user, V(absent) removes both.
      - V(claimed) only refuses or remembers the epoch, V(stopped) also ends all processes of the instance.
    type: str
    choices: [present, claimed, stopped, absent]
    default: present
"""

EXAMPLES = r"""
- name: Make a home for the instance
  apb.catalog.instance_home:
    directory: /var/lib/apb/host
    slug: redis-3f9a0c12ab4e
    epoch: 7
    ports: [21000]
"""

RETURN = r"""
path:
  description: The directory.
  type: str
  returned: success
user:
  description: The system user its processes run as.
  type: str
  returned: success
supervisor:
  description: What runs servers on this host, V(systemd) or V(supervisord).
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.apb.catalog.plugins.module_utils import instance_home
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError


def main():
    module = AnsibleModule(argument_spec=instance_home.SPEC, supports_check_mode=True)
    try:
        module.exit_json(**instance_home.work(module.params, module.check_mode, module._remote_tmp))
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
