# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory host that a play on an instance's host is for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: placement
short_description: Find the host of an instance that is managed without the broker
version_added: 0.2.0
description:
  - Gives the inventory name of the host that an instance lives on, as its state file says.
  - For an instance that does not exist yet, gives the host it is to live on.
author:
  - apb contributors (@apb-project)
options:
  _terms:
    description: Name of the instance.
    type: str
    required: true
  host:
    description: Host the caller asks for. It fails when the instance lives on another.
    type: str
    default: ""
  state_directory:
    description: Directory of state files; the user's own when empty.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Work on the host of the instance called cache
  hosts: "{{ lookup('apb.catalog.placement', 'cache') }}"
  tasks: []
"""

RETURN = r"""
_list:
  description: The host's name in the inventory.
  type: list
  elements: str
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.apb.catalog.plugins.module_utils.standalone_actions import LOCAL
from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError
from ansible_collections.apb.catalog.plugins.module_utils.standalone_states import States


def place(record, asked):
    """The host of the record, else the one that is asked for, else this machine. Raises StandaloneError when they differ."""
    lives_on = record["instance"]["placement"]["host"] if record else None
    if lives_on and asked and asked != lives_on:
        raise StandaloneError(
            f"instance {record['instance']['name']} lives on host {lives_on}, not on {asked}: it does not move. Leave out apb_host"
        )
    return lives_on or asked or LOCAL


class LookupModule(LookupBase):
    """Reads one state file; nothing is locked, as they are written whole."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        known = set((variables or {}).get("groups", {}).get("all", [])) | {LOCAL}
        try:
            states = States(self.get_option("state_directory"))
            found = [place(states.read(name) if name else None, self.get_option("host")) for name in terms]
        except StandaloneError as error:
            raise AnsibleError(str(error)) from None
        for host in found:
            if host not in known:
                raise AnsibleError(f"host {host} is not in the inventory: name an inventory that has it by -i")
        return found
