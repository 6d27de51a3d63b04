# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginning of an action without the broker: what is asked for is checked and kept, the role's variables are made."""

from __future__ import annotations

import json

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action import ActionBase
from ansible_collections.apb.catalog.plugins.module_utils import standalone_actions as actions
from ansible_collections.apb.catalog.plugins.module_utils import standalone_holder as holders
from ansible_collections.apb.catalog.plugins.module_utils import standalone_request as requests
from ansible_collections.apb.catalog.plugins.module_utils import standalone_roles as roles
from ansible_collections.apb.catalog.plugins.module_utils.standalone_states import States

ARGUMENTS = (
    "action",
    "name",
    "service",
    "service_directory",
    "plan",
    "requested",
    "binding",
    "host",
    "address",
    "port_range",
    "directory",
    "server",
    "state_directory",
)


def plain(arguments):
    """Arguments as JSON has them: no templates, nothing vaulted."""
    return json.loads(json.dumps(dict(arguments), cls=get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)))


def begin(given, *, check_mode):
    """What the role needs to know of the action that begins with this. In check mode nothing is kept."""
    request = requests.read({**given, "role": roles.full_name(given.get("service"), given.get("service_directory"))})
    states = States(given.get("state_directory"))
    if check_mode:
        return states, _begin(states, request)
    with states.locked():
        record = _begin(states, request)
        if record is not None:
            states.write(request.name, record)
    return states, record


def _begin(states, request):
    record, others = states.read(request.name), states.others(request.name)
    return actions.begin(request, record, others, roles.load, holders.of_this_run(request.host))


class ActionModule(ActionBase):
    """Runs in the controller's process: no module is sent anywhere."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        given = plain(self._task.args)
        if unknown := sorted(set(given) - set(ARGUMENTS)):
            raise AnsibleActionFail(f"describe_instance does not know {', '.join(unknown)}; it takes {', '.join(ARGUMENTS)}")
        try:
            states, record = begin(given, check_mode=self._task.check_mode)
        except actions.refusals() as error:
            raise AnsibleActionFail(str(error)) from None
        if record is None:
            return {**result, "changed": False, "known": False}
        # Told here and not by the task's no_log: that would hide why an action is refused.
        result["_ansible_no_log"] = True
        return {**result, "changed": False, "known": True, **described(states, record, given["name"])}


def described(states, record, name):
    """The role, its file of tasks, its variables, and where what it publishes goes."""
    return {
        "role": record["role"],
        "tasks_from": actions.tasks_from(record),
        "at_address": record["mode"] == "shared" or record["run"]["action"] in ("bind", "unbind", "verify"),
        "variables": actions.variables(record),
        "state": {"directory": str(states.directory), "name": name, "epoch": record["epoch"]},
    }
