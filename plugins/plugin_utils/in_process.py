# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs our modules where the task already is, when that is the very place and interpreter they would be sent to.

Packing a module, starting an interpreter for it and reading all of it again costs more than what most of ours do. The
module itself stays as it is: its own main() runs, and its result goes the way of any module's. Each module has an action
plugin of its name that is this class. C(apb_in_process=false) sends them as usual.
"""

from __future__ import annotations

import importlib
import json
import sys

from ansible import constants
from ansible.module_utils import basic
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as Shipping

ALLOWED = "apb_in_process"
PROFILE = "legacy"
MODULES = "ansible_collections.apb.catalog.plugins.modules."


class ActionModule(Shipping):
    """What ansible.builtin.normal is, but for the way of a module that may stay here.

    A task has a process of its own (ansible-core's worker), which ends with it: what AnsibleModule changes in its process
    is seen by nobody else.
    """

    def _execute_module(self, module_name=None, module_args=None, task_vars=None, **options):  # pylint: disable=arguments-differ
        if not self._may_stay(task_vars or {}):
            return super()._execute_module(module_name, module_args, task_vars=task_vars, **options)
        name, arguments = module_name or self._task.action, self._task.args if module_args is None else module_args
        self._update_module_args(name, arguments, task_vars)
        printed = main_of(MODULES + name.rpartition(".")[2], arguments)
        return self._parse_returned_data({"stdout": printed}, PROFILE)

    def _may_stay(self, task_vars):
        """Whether a module sent as usual would run with this interpreter, as this user, with this environment."""
        environment = {}
        self._compute_environment_string(environment)
        return (
            self._connection.transport == "local"
            and not self._connection.become
            and not self._play_context.become
            and not environment
            and not self._task.async_val
            and not constants.DEFAULT_KEEP_REMOTE_FILES
            and self._interpreter(task_vars) == sys.executable
            and boolean(self._templar.template(task_vars.get(ALLOWED, True)))
        )

    def _interpreter(self, task_vars):
        """The host's interpreter; where none is set, one has to be looked for there."""
        if self._task.delegate_to:
            task_vars = task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        return str(self._templar.template(task_vars.get("ansible_python_interpreter", "")))


def main_of(module, arguments):
    """What the module prints as its result, as JSON. What it raises is left to the caller."""
    results = []
    main = importlib.import_module(module).main
    before = basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE, basic.AnsibleModule._record_module_result
    basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = encoded({"ANSIBLE_MODULE_ARGS": arguments}, Direction.CONTROLLER_TO_MODULE), PROFILE
    basic.AnsibleModule._record_module_result = lambda _module, result: results.append(encoded(result, Direction.MODULE_TO_CONTROLLER))
    try:
        main()
    except SystemExit:
        pass  # how exit_json and fail_json end a module
    finally:
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE, basic.AnsibleModule._record_module_result = before
    return results[-1].decode() if results else ""


def encoded(value, direction):
    """As Ansible encodes it on its way to a module or back."""
    return json.dumps(value, cls=get_module_encoder(PROFILE, direction)).encode()
