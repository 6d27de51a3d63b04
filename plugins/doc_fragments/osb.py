# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module_utils/osb.py's SPEC and PLACE, for modules that talk to a broker."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - A broker that speaks Open Service Broker API 2.13 or later. The host that runs the module needs nothing but Python (3.8).
notes:
  - C(module_defaults) of the group C(apb.catalog.osb) say once for all tasks which broker is meant.
  - Proxies of the environment are not used.
options:
  url:
    description: Address of the broker, without C(/v2).
    type: str
    required: true
  username:
    description: User to log in as.
    type: str
  password:
    description: The user's password.
    type: str
  token:
    description: Bearer token to log in with, instead of O(username) and O(password).
    type: str
  ca_path:
    description: File of PEM certificates of who may vouch for the broker, or the broker's own. The system's authorities if not set.
    type: path
  validate_certs:
    description: Whether the broker's certificate is checked. Better name it by O(ca_path) than to set this to V(false).
    type: bool
    default: true
  timeout:
    description: Seconds that one request may take. A broker that binds while the caller waits may take up to a minute.
    type: int
    default: 60
"""

    PLACE = r"""
options:
  organization:
    description: Whose instance it is, as the broker counts organizations.
    type: str
    default: apb
  space:
    description: Where the instance is, as the broker counts spaces. Names are unique in a space.
    type: str
    default: default
"""

    WAIT = r"""
options:
  wait:
    description: Whether to wait until the broker has done it. What is in progress already is waited for too.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. What the plan's C(maximum_polling_duration) says if not set, or else half an hour.
    type: int
"""
