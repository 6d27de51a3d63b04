# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of an action without the broker: what was desired, and what the role published, becomes the instance's."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.apb.catalog.plugins.module_utils import standalone_actions as actions
from ansible_collections.apb.catalog.plugins.module_utils.service_errors import CredentialsError
from ansible_collections.apb.catalog.plugins.module_utils.standalone_states import States


def finish(state):
    """What the end of this action changed, and what people may see of it."""
    states, name = States(state["directory"]), state["name"]
    with states.locked():
        before = states.read(name)
        after = actions.finish(before, state["epoch"])
        if after is None:
            states.remove(name)
            return {"changed": True, "summary": {"instance": name, "removed": True}}
        states.write(name, after)
    summary = actions.shown(after, str(states.path(name)), before["run"]["binding"])
    return {"changed": actions.is_changed(before, after), "summary": summary}


def give_back(state):
    """Make the binding that this action made one that is being removed."""
    states = States(state["directory"])
    with states.locked():
        states.write(state["name"], actions.give_back(states.read(state["name"]), state["epoch"]))


class ActionModule(ActionBase):
    """Runs in the controller's process: no module is sent anywhere."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        state = {name: self._task.args.get(name) for name in ("directory", "name", "epoch")}
        if self._task.check_mode:
            return {**result, "changed": False, "summary": {"instance": state["name"], "check_mode": "nothing was kept"}}
        try:
            return {**result, **finish(state)}
        except CredentialsError as error:
            give_back(state)
            return {**result, "failed": True, "mismatch": True, "msg": str(error)}
        except actions.refusals() as error:
            raise AnsibleActionFail(str(error)) from None
