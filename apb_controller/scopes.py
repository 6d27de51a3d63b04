"""A catalog is the whole cluster's or one namespace's: the words in which both differ.

Everything else is one code path that is given a scope.
"""

import functools
from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """Kinds and fields of one of both catalogs, as they are spelled in `servicecatalog.k8s.io/v1beta1`."""

    is_cluster: bool
    broker: str
    service_class: str
    plan: str

    @functools.cached_property
    def broker_field(self) -> str:
        """The field of a class or plan that names its broker."""
        return f"{_lower(self.broker)}Name"

    @functools.cached_property
    def class_field(self) -> str:
        """What the fields of an instance or plan that mean a class begin with."""
        return _lower(self.service_class)

    @functools.cached_property
    def plan_field(self) -> str:
        """What the fields of an instance that mean a plan begin with."""
        return _lower(self.plan)

    @functools.cached_property
    def class_ref(self) -> str:
        """The field that holds the resolved class."""
        return f"{self.class_field}Ref"

    @functools.cached_property
    def plan_ref(self) -> str:
        """The field that holds the resolved plan."""
        return f"{self.plan_field}Ref"


def _lower(kind: str) -> str:
    return kind[0].lower() + kind[1:]


CLUSTER = Scope(True, "ClusterServiceBroker", "ClusterServiceClass", "ClusterServicePlan")
NAMESPACED = Scope(False, "ServiceBroker", "ServiceClass", "ServicePlan")
BOTH = (CLUSTER, NAMESPACED)
