# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of an action on their way to its caller: checked here, carried by the run's statistics, read by the caller."""

from __future__ import annotations

from collections.abc import Mapping

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PUBLISHED = "apb_published"
KINDS = {"credentials": Mapping, "outputs": Mapping, "connection": Mapping, "dashboard_url": str}


def check(values):
    """The values that were given. Error messages name fields, never values: those may be secret. Raises AnsibleActionFail."""
    unknown = sorted(str(name) for name in set(values) - set(KINDS))
    if unknown:
        raise AnsibleActionFail(f"publish does not know {', '.join(unknown)}; it takes {', '.join(KINDS)}")
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        raise AnsibleActionFail(f"publish needs at least one of {', '.join(KINDS)}")
    for name, value in given.items():
        if not isinstance(value, KINDS[name]):
            raise AnsibleActionFail(f"{name} to be published has to be a {'string' if KINDS[name] is str else 'dictionary'}")
    return given


class ActionModule(ActionBase):
    """Runs in the controller's process: no module is sent anywhere."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        published = {PUBLISHED: check(self._task.args)}
        return {**result, "changed": False, "ansible_stats": {"data": published, "per_host": False, "aggregate": True}}
