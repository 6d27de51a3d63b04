# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that list objects of the Kubernetes service catalog; those of the connection are kubernetes.core's."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - kubernetes (Python library) on the host that runs the module, and the collection kubernetes.core
  - The kinds of C(servicecatalog.k8s.io/v1beta1) in the cluster
attributes:
  check_mode:
    description: Changes nothing anyway.
    support: full
options:
  label_selectors:
    description: Requirements that the objects' labels have to meet, such as C(team=shop).
    type: list
    elements: str
    default: []
"""
