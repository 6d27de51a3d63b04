#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only; the work is the action plugin's of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: publish
short_description: Hand results of an action to its caller
version_added: 0.1.0
description:
  - Puts results into the statistics of the run, under C(apb_published), where the broker (or another caller) finds them.
  - Set C(no_log) on the task, as on every task with secrets. It does not keep the results from the caller.
  - Without the broker, in role C(apb.catalog.instance), they go to the instance's state file instead, and nowhere else.
  - Called more than once in a run, later values are merged over earlier ones.
author:
  - apb contributors (@apb-project)
options:
  credentials:
    description: What a binding returns.
    type: dict
  outputs:
    description: What later actions on the same instance get back as C(apb_instance.outputs).
    type: dict
  connection:
    description: Connection information that was not known before. Never secret.
    type: dict
  dashboard_url:
    description: Where people find the instance's web interface.
    type: str
  drift:
    description: By verify, before it fails - what is not as described, a sentence each, nothing secret in them.
    type: list
    elements: str
  unreachable:
    description: By verify, before it fails - why nobody can tell how the instance is, as that its host cannot be reached.
    type: str
  survey:
    description: By survey - what there is of instances. A dictionary by who looked, each with C(things) and C(expects).
    type: dict
attributes:
  check_mode:
    description: Publishes just the same, nothing is changed by it. The state file stays as it is.
    support: full
"""

EXAMPLES = r"""
- name: Hand over the credentials
  apb.catalog.publish:
    credentials:
      username: "{{ apb_binding.username }}"
      password: "{{ apb_binding.password }}"
  no_log: true
"""

RETURN = r""" # """
