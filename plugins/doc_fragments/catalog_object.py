# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module_utils/catalog_objects.py, for modules of the Kubernetes service catalog. The connection's are kubernetes.core's."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - kubernetes (Python library) on the host that runs the module, and the collection kubernetes.core
  - The kinds of C(servicecatalog.k8s.io/v1beta1) in the cluster, and a controller that works on them
notes:
  - C(module_defaults) of the group C(apb.catalog.k8s) say once for all tasks which cluster is meant, those of kubernetes.core too.
  - In check mode the API server itself is asked what it would do, without doing it.
options:
  name:
    description: Name of the object in Kubernetes.
    type: str
    required: true
  state:
    description: Whether there is such an object.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Whether to wait until the object is ready, or gone.
      - One that has failed for good ends the waiting at once, and the task with it.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. After that the task fails, and says what the object is waiting for; it goes on.
    type: int
    default: 600
  wait_sleep:
    description: Seconds between two looks.
    type: int
    default: 2
"""

    NAMESPACE = r"""
options:
  namespace:
    description: Namespace of the object.
    type: str
    required: true
"""

    PARAMETERS = r"""
options:
  parameters:
    description:
      - Parameters for the broker, all of them; an empty dictionary removes them.
      - No secrets here, everybody who reads the object reads them. See O(parameters_from).
    type: dict
  parameters_from:
    description: Secrets of the same namespace whose parameters are added, all of them; an empty list removes them.
    type: list
    elements: dict
    suboptions:
      secret:
        description: Name of the Secret.
        type: str
        required: true
      key:
        description: The key in it whose value is a JSON object of parameters.
        type: str
        required: true
"""
