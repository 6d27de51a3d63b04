#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only; the work is the action plugin's of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: record_instance
short_description: End an action on an instance without the broker
version_added: 0.2.0
description:
  - Keeps what an action that C(apb.catalog.describe_instance) began has made of the instance.
  - Credentials of a binding are checked against the service's C(meta/service.yml) first. Where they do not fit, it fails with RV(mismatch).
  - Runs on the controller; nothing is sent to the host.
author:
  - apb contributors (@apb-project)
options:
  directory:
    description: Directory of the state files.
    type: path
    required: true
  name:
    description: Name of the instance.
    type: str
    required: true
  epoch:
    description: Number of the run. Fails when another run went on with the instance since.
    type: int
    required: true
attributes:
  check_mode:
    description: Keeps nothing.
    support: full
"""

EXAMPLES = r"""
- name: Keep what became of the instance
  apb.catalog.record_instance:
    directory: "{{ __described.state.directory }}"
    name: "{{ __described.state.name }}"
    epoch: "{{ __described.state.epoch }}"
"""

RETURN = r"""
summary:
  description: What people may see of the instance. Credentials are named by the file they are in.
  type: dict
  returned: success
mismatch:
  description: The credentials do not have the shape that the service promises. The binding is one that is being removed now.
  type: bool
  returned: failure
"""
