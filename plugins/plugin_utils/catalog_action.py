# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of all modules of the Kubernetes catalog: they need not be sent to the controller itself, and what they import is there.

ansible-core loads actions before it forks a process for each task. The Kubernetes client takes half a second to import, so it is
imported here, once for all tasks of a playbook. What is missing is told by the module, where it runs.
"""

from __future__ import annotations

import contextlib
import importlib

from ansible_collections.apb.catalog.plugins.plugin_utils.in_process import ActionModule

__all__ = ["ActionModule"]

with contextlib.suppress(ImportError):
    importlib.import_module("ansible_collections.apb.catalog.plugins.module_utils.catalog_objects")
