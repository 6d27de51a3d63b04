#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only; the work is the action plugin's of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: describe_instance
short_description: Begin an action on an instance without the broker
version_added: 0.2.0
description:
  - Checks what is asked for against the service's C(meta/service.yml), with the broker's words for what does not fit.
  - Gives a new instance its names, ports and secrets, and keeps them in a state file that only its owner can read.
  - Returns what the service's role gets. C(apb.catalog.record_instance) ends the action.
  - Runs on the controller; nothing is sent to the host. What it returns holds secrets and is not shown.
author:
  - apb contributors (@apb-project)
options:
  action:
    description: What is to be done.
    type: str
    choices: [provision, update, bind, unbind, deprovision, verify]
    required: true
  name:
    description: Name of the instance.
    type: str
    required: true
  host:
    description: Inventory name of the host that the instance is to live on, or does.
    type: str
    required: true
  service:
    description: Role of the service. Required for a new instance. A name without dots is a role of this collection.
    type: str
  service_directory:
    description: Where a role without a collection was found.
    type: path
  plan:
    description: Name of the plan. Required for a new instance; on update the plan to change to.
    type: str
  requested:
    description: The parameters asked for, or C(@FILE) with a file that holds them.
    type: raw
  binding:
    description: Name of the binding, to bind and unbind.
    type: str
  address:
    description: Address of a new instance's host for clients.
    type: str
  port_range:
    description: Ports a new instance's are taken from.
    type: str
    default: 21000-21999
  directory:
    description: Directory of all instances on the host.
    type: path
    default: /var/lib/apb/host
  server:
    description: For plans on a shared server, that server, and the account that is used there.
    type: dict
  state_directory:
    description: Directory of the state files.
    type: path
    default: ~/.local/state/apb/instances
attributes:
  check_mode:
    description: Keeps nothing. A new instance's secrets are thrown away.
    support: full
"""

EXAMPLES = r"""
- name: Begin to provision
  apb.catalog.describe_instance:
    action: provision
    name: cache
    host: "{{ inventory_hostname }}"
    service: redis
    plan: redis-standard
    requested: {memory: 0.5}
  register: __described
"""

RETURN = r"""
known:
  description: Whether there is anything to do. Unbinding and deprovisioning what is not there is done already.
  type: bool
  returned: success
role:
  description: Role of the service.
  type: str
  returned: when known
tasks_from:
  description: The role's file of tasks for this action.
  type: str
  returned: when known
at_address:
  description: Whether the tasks only talk to the instance's address, so that they run on the controller.
  type: bool
  returned: when known
variables:
  description: The variables of the contract, C(apb_*).
  type: dict
  returned: when known
state:
  description: What C(apb.catalog.record_instance) takes.
  type: dict
  returned: when known
"""
