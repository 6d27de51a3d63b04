# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module_utils/postgresql_connection.py's SPEC, for the modules that talk to a PostgreSQL server."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - psycopg 3.2 or newer (Python library) on the host that runs the module
options:
  host:
    description: Address of the server, 14 or newer.
    type: str
    required: true
  port:
    description: Port of the server.
    type: int
    required: true
  login_user:
    description: Account to log in with.
    type: str
    required: true
  login_password:
    description: Its password.
    type: str
    required: true
  sslmode:
    description: How the connection is protected, as in libpq.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
  ca_cert:
    description: File with the certificates of the authorities that O(sslmode) checks against. Without one, libpq's own default.
    type: path
  database:
    description: Name of the database.
    type: str
    required: true
"""
