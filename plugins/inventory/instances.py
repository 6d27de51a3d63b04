# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of the Kubernetes service catalog as hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: instances
short_description: Instances of a Kubernetes service catalog as hosts
version_added: 0.3.0
description:
  - Each ServiceInstance is a host, called C(NAME.NAMESPACE). Where it is reached, as its broker tells, is in C(apb_connection).
  - It is in the groups C(class_NAME), C(plan_NAME) and C(namespace_NAME), and in those that the options of constructed inventories make.
  - Nobody logs in on an instance. Plays on these hosts run on the controller (C(ansible_connection=local)), unless C(compose) says so.
  - The file has to be called C(instances.yml), or something that ends in C(.instances.yml).
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - ansible.builtin.constructed
author:
  - apb contributors (@apb-project)
requirements:
  - kubernetes (Python library) and the collection kubernetes.core on the controller
options:
  plugin:
    description: Marks the file as one for this plugin.
    type: str
    required: true
    choices: [apb.catalog.instances]
  namespaces:
    description: Namespaces whose instances are meant. Those of all if not given.
    type: list
    elements: str
    default: []
  label_selectors:
    description: Requirements that the instances' labels have to meet, such as C(team=shop).
    type: list
    elements: str
    default: []
  ready_only:
    description: Whether only instances that are ready are meant.
    type: bool
    default: false
"""

EXAMPLES = r"""
# shop.instances.yml: what the shop has, by team, with the address as a variable of its own.
# With `plugin` and `kubeconfig` alone, named instances.yml, it is everything that there is in the cluster.
plugin: apb.catalog.instances
kubeconfig: ~/.kube/config
namespaces: [shop]
ready_only: true
compose:
  redis_address: apb_connection.host ~ ':' ~ apb_connection.port
keyed_groups:
  - {key: apb_instance.labels.team, prefix: team}
groups:
  large: apb_instance.plan is search('large')
"""

import sys

from ansible.errors import AnsibleParserError
from ansible.inventory.group import to_safe_group_name
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.apb.catalog.plugins.module_utils import catalog_conditions

ENDINGS = ("instances.yml", "instances.yaml")
REFERENCES = (("clusterService", "ClusterServiceClass"), ("service", "ServiceClass"))


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Reads once, when the inventory is read."""

    NAME = "apb.catalog.instances"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(ENDINGS)

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        found, class_names = self._read()
        for instance in found:
            if catalog_conditions.is_ready(instance) or not self.get_option("ready_only"):
                self._add(instance, class_names)

    def _read(self):
        """The instances, and the names of classes in their brokers' catalogs, by kind and Kubernetes name."""
        try:
            from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects
            from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
            from kubernetes.config import ConfigException
        except ImportError as error:
            raise AnsibleParserError(
                f"apb.catalog.instances needs {error.name or error} on the controller: pip install kubernetes"
            ) from None
        given = {name: self.get_option(name) for name in AUTH_ARG_SPEC}
        try:
            client = catalog_objects.connect(**{name: value for name, value in given.items() if value is not None})
            instances = catalog_objects.Objects(client, "ServiceInstance")
            namespaces = self.get_option("namespaces") or [None]
            found = [each for namespace in namespaces for each in instances.list(namespace, self.get_option("label_selectors"))]
            return found, self._class_names(catalog_objects, client, found)
        except (catalog_objects.ObjectError, catalog_objects.CoreException, ConfigException) as error:
            raise AnsibleParserError(str(error)) from None

    def _class_names(self, catalog_objects, client, found):
        """Asked for only when an instance names its class in another way. Who may not read classes sees their Kubernetes names."""
        names = {}
        for prefix, kind in REFERENCES:
            if all(f"{prefix}ClassRef" not in each["spec"] or f"{prefix}ClassExternalName" in each["spec"] for each in found):
                continue
            try:
                classes = catalog_objects.Objects(client, kind).list()
            except catalog_objects.ObjectError as error:
                self.display.warning(f"apb.catalog.instances: {error}")
                continue
            names.update(
                {(kind, each["metadata"].get("namespace"), each["metadata"]["name"]): each["spec"]["externalName"] for each in classes}
            )
        return names

    def _add(self, instance, class_names):
        variables = variables_of(instance, class_names)
        metadata = instance["metadata"]
        host = f"{metadata['name']}.{metadata['namespace']}"
        self.inventory.add_host(host)
        for name, value in variables.items():
            self.inventory.set_variable(host, name, value)
        for kind in ("class", "plan", "namespace"):
            if variables["apb_instance"][kind]:
                group = self.inventory.add_group(to_safe_group_name(f"{kind}_{variables['apb_instance'][kind]}", force=True, silent=True))
                self.inventory.add_child(group, host)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)


def variables_of(instance, class_names):
    """Of the host that the instance is. Nothing of it is secret."""
    metadata, status = instance["metadata"], instance.get("status") or {}
    told = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "class": class_of(instance, class_names),
        "plan": plan_of(instance),
        "ready": catalog_conditions.is_ready(instance),
        "state": status.get("lastConditionState") or "",
        "labels": metadata.get("labels") or {},
        "dashboard_url": status.get("dashboardURL"),
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    return {"apb_instance": told, "apb_connection": status.get("connection") or {}, **local}


def class_of(instance, class_names):
    """The name of its service, in the broker's catalog if that is known."""
    spec = instance["spec"]
    for prefix, kind in REFERENCES:
        if spec.get(f"{prefix}ClassExternalName"):
            return spec[f"{prefix}ClassExternalName"]
        name = (spec.get(f"{prefix}ClassRef") or {}).get("name") or spec.get(f"{prefix}ClassName")
        namespace = None if kind.startswith("Cluster") else instance["metadata"]["namespace"]
        if name:
            return class_names.get((kind, namespace, name), name)
    return None


def plan_of(instance):
    """The name of its plan: as its spec says, or as the broker's catalog had it when it was made."""
    spec = instance["spec"]
    made = (instance.get("status") or {}).get("externalProperties") or {}
    for prefix, _kind in REFERENCES:
        name = spec.get(f"{prefix}PlanExternalName") or made.get(f"{prefix}PlanExternalName") or spec.get(f"{prefix}PlanName")
        if name:
            return name
    return None
