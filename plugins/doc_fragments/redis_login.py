# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module_utils/redis_connection.py's SPEC, for the modules that talk to a Redis server."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - redis (Python library) on the host that runs the module
options:
  host:
    description: Address of the server.
    type: str
    required: true
  port:
    description: Port of the server.
    type: int
    required: true
  login_user:
    description: Account to log in with. It needs all rights.
    type: str
    required: true
  login_password:
    description: Its password.
    type: str
    required: true
  wait_seconds:
    description: How long to wait for a server that starts or loads its data.
    type: int
    default: 0
"""
