# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials of a binding, read where they are kept: in a Kubernetes Secret, or at a broker."""

from __future__ import annotations

DOCUMENTATION = r"""
name: credentials
short_description: Credentials of a binding
version_added: 0.3.0
description:
  - Reads what an application logs in with, of a ServiceBinding in Kubernetes, or of a binding at an Open Service Broker.
  - With O(namespace) it is a ServiceBinding, with O(instance) or O(instance_id) a binding at a broker.
  - The values are secrets. Give tasks that use them C(no_log=true).
author:
  - apb contributors (@apb-project)
requirements:
  - For a ServiceBinding, kubernetes (Python library) and the collection kubernetes.core on the controller
options:
  _terms:
    description: Name of the binding, of one or more.
    type: list
    elements: str
    required: true
  key:
    description: Only the value of this key, instead of all.
    type: str
  namespace:
    description: Namespace of the ServiceBinding.
    type: str
  kubeconfig:
    description: File that says where the cluster is and who asks. K8S_AUTH_KUBECONFIG, or that of C(kubectl), if not given.
    type: raw
    vars:
      - name: apb_kubeconfig
  context:
    description: Context in that file.
    type: str
    vars:
      - name: apb_context
  host:
    description: Address of the API server, instead of O(kubeconfig).
    type: str
  api_key:
    description: Token for O(host).
    type: str
  ca_cert:
    description: File of certificates of who may vouch for O(host).
    type: path
  instance:
    description: Name of the instance at the broker, as P(apb.catalog.osb_instance#module) calls it.
    type: str
  instance_id:
    description: The instance's id at the broker, of an instance that somebody else made.
    type: str
  binding_id:
    description: The binding's id at the broker, of a binding that somebody else made.
    type: str
  organization:
    description: Whose instance it is, as the broker counts organizations.
    type: str
    default: apb
  space:
    description: Where the instance is, as the broker counts spaces.
    type: str
    default: default
  url:
    description: Address of the broker, without C(/v2).
    type: str
    vars:
      - name: apb_osb_url
  username:
    description: User to log in at the broker as.
    type: str
    vars:
      - name: apb_osb_username
  password:
    description: The user's password.
    type: str
    vars:
      - name: apb_osb_password
  token:
    description: Bearer token to log in at the broker with, instead of O(username) and O(password).
    type: str
    vars:
      - name: apb_osb_token
  ca_path:
    description: File of PEM certificates of who may vouch for the broker.
    type: path
    vars:
      - name: apb_osb_ca_path
  validate_certs:
    description: Whether certificates are checked.
    type: bool
    default: true
  timeout:
    description: Seconds that one request to the broker may take.
    type: int
    default: 60
notes:
  - Values of a Secret are texts, ports too. What is no UTF-8 text is given in base64, as the Secret has it.
"""

EXAMPLES = r"""
- name: Configure the shop with its account on the database
  ansible.builtin.copy:
    content: "DATABASE_URL={{ lookup('apb.catalog.credentials', 'orders-shop', namespace='shop', key='uri') }}\n"
    dest: /etc/shop/environment
    mode: "0600"
  no_log: true

- name: The same without Kubernetes, of a broker that apb_osb_url, apb_osb_username and apb_osb_password name
  ansible.builtin.template:
    src: shop.conf.j2 # … {{ database.username }} …
    dest: /etc/shop/shop.conf
    mode: "0600"
  vars:
    database: "{{ lookup('apb.catalog.credentials', 'shop', instance='orders') }}"
  no_log: true
"""

RETURN = r"""
_list:
  description: For each binding its credentials, or the value of O(key).
  type: list
  elements: raw
"""

import base64

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.apb.catalog.plugins.module_utils import catalog_conditions, osb, osb_binding

OF_CLUSTER = ("kubeconfig", "context", "host", "api_key", "ca_cert", "validate_certs")


class LookupModule(LookupBase):
    """Reads; nothing is made, and nothing is kept."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        read = self._reader()
        return [self._chosen(term, read(term)) for term in terms]

    def _option(self, name):
        """Its value. What a variable holds may be a template of the playbook's; what came from elsewhere is none to Ansible."""
        return self._templar.template(self.get_option(name))

    def _reader(self):
        if self._option("namespace"):
            return self._of_secret
        if self._option("instance") or self._option("instance_id"):
            return self._of_broker
        raise AnsibleLookupError(
            "credentials: give namespace for a ServiceBinding in Kubernetes, or instance for a binding at a broker (url)"
        )

    def _chosen(self, name, found):
        key = self._option("key")
        if key is None:
            return found
        if key not in found:
            raise AnsibleLookupError(f"the credentials of {name} have no key '{key}'; there is: {', '.join(sorted(found)) or 'none'}")
        return found[key]

    def _of_secret(self, name):
        given = {option: self._option(option) for option in OF_CLUSTER}
        return of_secret(name, self._option("namespace"), {option: value for option, value in given.items() if value is not None})

    def _of_broker(self, name):
        params = {option: self._option(option) for option in ("instance", "instance_id", "binding_id", "organization", "space")}
        if not self._option("url"):
            raise AnsibleLookupError("credentials: give url, the address of the broker, or set the variable apb_osb_url")
        try:
            broker = osb.connect({option: self._option(option) for option in osb.SPEC})
            return of_broker(broker, {**params, "binding": name})
        except osb.OsbError as error:
            raise AnsibleLookupError(str(error)) from None


def of_broker(broker, params):
    """The credentials of a binding. Raises osb.OsbError."""
    instance_id = osb.instance_id(params)
    path = osb.binding_path(instance_id, osb_binding.binding_id(params, instance_id))
    found = osb_binding.fetch(broker, path)
    if found is None:
        called = f"binding {params['binding']} of instance {params['instance'] or instance_id}"
        raise osb.OsbError(f"the broker at {broker.url} does not tell {called}: make it first (osb_binding), or wait until it is made")
    return found.get("credentials") or {}


def of_secret(name, namespace, auth):
    """The data of the Secret of a ServiceBinding, decoded."""
    try:
        from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects
        from kubernetes.config import ConfigException
    except ImportError as error:
        raise AnsibleError(
            f"credentials of a ServiceBinding need {error.name or error} on the controller: pip install kubernetes"
        ) from None
    try:
        client = catalog_objects.connect(**auth)
        binding = catalog_objects.Objects(client, "ServiceBinding").read(name, namespace)
        secret_name = secret_of(binding, f"ServiceBinding {namespace}/{name}")
        secret = catalog_objects.Objects(client, "Secret", "v1").read(secret_name, namespace)
    except (catalog_objects.ObjectError, catalog_objects.CoreException, ConfigException) as error:
        raise AnsibleLookupError(str(error)) from None
    if secret is None:
        raise AnsibleLookupError(
            f"ServiceBinding {namespace}/{name} is ready, but its Secret {secret_name} is gone: delete the binding and make it again"
        )
    return {key: text(value) for key, value in (secret.get("data") or {}).items()}


def secret_of(binding, called):
    """The name of its Secret. Raises AnsibleLookupError when there is none yet."""
    if binding is None:
        raise AnsibleLookupError(f"there is no {called}: make it first (service_binding)")
    if not catalog_conditions.is_ready(binding):
        raise AnsibleLookupError(f"{called} is not ready: {catalog_conditions.why(binding)}")
    return binding["spec"].get("secretName") or binding["metadata"]["name"]


def text(encoded):
    """A value of a Secret; in base64 as it is there, if it is no text."""
    try:
        return base64.b64decode(encoded).decode()
    except UnicodeDecodeError:
        return encoded
