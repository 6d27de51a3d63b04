# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those of some services' roles that have a file."""

from __future__ import annotations

DOCUMENTATION = r"""
name: roles_with
short_description: Choose the roles of services that have a file
version_added: 0.2.0
description:
  - Gives those of the roles that have the file, by names that include_role takes.
author:
  - apb contributors (@apb-project)
options:
  _terms:
    description: Roles. A name without dots is a role of this collection; a name with slashes is a role's directory.
    type: list
    elements: str
    required: true
  file:
    description: The file, from the role's directory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See which roles prepare hosts
  ansible.builtin.debug:
    msg: "{{ query('apb.catalog.roles_with', 'redis', 'postgresql', file='tasks/host/prepare.yml') }}"
"""

RETURN = r"""
_list:
  description: Names of roles.
  type: list
  elements: str
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.apb.catalog.plugins.module_utils import standalone_roles as roles
from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError


class LookupModule(LookupBase):
    """Looks at the controller's files only."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        try:
            names = [roles.full_name(str(term)) for term in terms]
            return [name for name in names if (roles.directory(name) / self.get_option("file")).is_file()]
        except StandaloneError as error:
            raise AnsibleError(str(error)) from None
