"""The eight kinds of `servicecatalog.k8s.io/v1beta1` as custom resource definitions.

One file per noun; cluster and namespaced twin come from one description.

`python -m apb_controller.kinds` writes deploy/crds; a test compares.
"""

from apb_controller.kinds import bindings, brokers, classes, instances, plans
from apb_controller.kinds.manifest import Manifest
from apb_controller.scopes import BOTH

GROUP = "servicecatalog.k8s.io"
VERSION = "v1beta1"


def definitions() -> dict[str, Manifest]:
    """Plural name -> CustomResourceDefinition, in the order in which people meet the kinds."""
    catalog = [noun.kind(scope) for noun in (brokers, classes, plans) for scope in BOTH]
    kinds = [*catalog, instances.kind(), bindings.kind()]
    return {kind.plural: kind.manifest(GROUP, VERSION) for kind in kinds}
