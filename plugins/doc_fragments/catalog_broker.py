# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module_utils/catalog_brokers.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Address of the broker, without C(/v2). Required when O(state=present).
      - Its login belongs into O(auth_secret). A password in the address is not returned, but everybody who reads the object reads it.
    type: str
  auth_type:
    description: What O(auth_secret) holds, V(basic) for C(username) and C(password), V(bearer) for C(token).
    type: str
    choices: [basic, bearer]
    default: basic
  auth_secret:
    description: Name of the Secret with the login for the broker. An empty one means that none is sent.
    type: str
  ca_bundle:
    description: PEM certificates of the authorities that the broker's certificate is checked by. An empty text removes them.
    type: str
  insecure_skip_tls_verify:
    description: Whether any certificate is accepted. Better name its authorities by O(ca_bundle).
    type: bool
  relist_behavior:
    description: Whether the catalog is read again whenever O(relist_duration) has passed, or only by hand.
    type: str
    choices: [Duration, Manual]
  relist_duration:
    description: How often the catalog is read again, such as C(15m). The controller's own default if never set.
    type: str
  relist_requests:
    description: A number that, raised, has the catalog read at once.
    type: int
  class_restrictions:
    description:
      - Requirements that services have to meet to be offered, in the language of label selectors, on C(name), C(spec.externalName)
        and C(spec.externalID), such as V(spec.externalName in (redis, postgresql\)).
      - With O(plan_restrictions), given one sets both.
    type: list
    elements: str
  plan_restrictions:
    description: The same for plans, on C(name), C(spec.externalName), C(spec.externalID) and C(spec.free).
    type: list
    elements: str
"""
