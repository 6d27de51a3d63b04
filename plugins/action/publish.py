# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of an action on their way to its caller: checked here, carried by the run's statistics, read by the caller.

Without the broker they go to the instance's state file instead, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action import ActionBase
from ansible_collections.apb.catalog.plugins.module_utils import sealed_results
from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError
from ansible_collections.apb.catalog.plugins.module_utils.standalone_states import States

PUBLISHED = "apb_published"
STATE = "_instance_state"  # set by role instance: which state file a run belongs to
KINDS = {
    "credentials": Mapping,
    "outputs": Mapping,
    "connection": Mapping,
    "dashboard_url": str,
    "drift": list,
    "unreachable": str,
    "survey": Mapping,
}
WORDS = {Mapping: "dictionary", list: "list", str: "string"}


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
            raise AnsibleActionFail(f"{name} to be published has to be a {WORDS[KINDS[name]]}")
    return given


def sealed(values, key, task):
    """The values as they travel: readable for who has the run's key, under a name of each task: statistics of one name are merged."""
    if key is None:
        return values
    return {"sealed": {task: sealed_results.seal(plain(values), str(key))}}


def plain(values):
    """The values as JSON has them."""
    return json.loads(json.dumps(values, cls=get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)))


def keep(values, state):
    """Write the values to the state file of the instance. Raises StandaloneError when another run went on with it."""
    from ansible_collections.apb.catalog.plugins.module_utils import standalone_actions as actions  # the broker's runs need not wait for it

    states = States(state["directory"])
    with states.locked():
        states.write(state["name"], actions.publish(states.read(state["name"]), state["epoch"], plain(values)))


class ActionModule(ActionBase):
    """Runs in the controller's process: no module is sent anywhere."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = {**super().run(tmp, task_vars), "changed": False}
        values, task_vars = check(self._task.args), task_vars or {}
        if STATE in task_vars:
            self._keep(values, task_vars[STATE])
            return result
        published = sealed(values, task_vars.get(sealed_results.KEY_VARIABLE), self._task._uuid)
        return {**result, "ansible_stats": {"data": {PUBLISHED: published}, "per_host": False, "aggregate": True}}

    def _keep(self, values, state):
        if self._task.check_mode:
            return
        try:
            keep(values, self._templar.template(state))
        except StandaloneError as error:
            raise AnsibleActionFail(str(error)) from None
