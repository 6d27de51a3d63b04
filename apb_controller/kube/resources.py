"""Which paths of an API server the kinds have that the controller works with."""

from dataclasses import dataclass

from apb_controller.scopes import BOTH

CATALOG_GROUP, CATALOG_VERSION = "servicecatalog.k8s.io", "v1beta1"


@dataclass(frozen=True)
class Resource:
    """One kind. `is_metadata_only`: of its objects only the metadata is read, by lists and watches too."""

    group: str
    version: str
    kind: str
    plural: str
    is_namespaced: bool = True
    is_metadata_only: bool = False

    @property
    def api_version(self) -> str:
        """As objects name it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of one object, of a namespace's, or of all of them."""
        place = f"/namespaces/{namespace}" if namespace and self.is_namespaced else ""
        parts = [self.plural, *(part for part in (name, subresource) if part)]
        return f"{'/apis' if self.group else '/api'}/{self.api_version}{place}/{'/'.join(parts)}"


def _of_catalog(kind: str, plural: str, *, is_namespaced: bool) -> Resource:
    return Resource(CATALOG_GROUP, CATALOG_VERSION, kind, plural, is_namespaced)


def _catalog() -> list[Resource]:
    found = []
    for scope in BOTH:
        for kind, ending in ((scope.broker, "s"), (scope.service_class, "es"), (scope.plan, "s")):
            found.append(_of_catalog(kind, kind.lower() + ending, is_namespaced=not scope.is_cluster))
    return found


INSTANCES = _of_catalog("ServiceInstance", "serviceinstances", is_namespaced=True)
BINDINGS = _of_catalog("ServiceBinding", "servicebindings", is_namespaced=True)
SECRETS = Resource("", "v1", "Secret", "secrets", is_metadata_only=True)
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", is_namespaced=False, is_metadata_only=True)
EVENTS = Resource("", "v1", "Event", "events")
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")
CATALOG = {resource.kind: resource for resource in (*_catalog(), INSTANCES, BINDINGS)}
WATCHED = {**CATALOG, "Secret": SECRETS, "Namespace": NAMESPACES}
