"""What surrounds a binding, as it was found when the rules are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from apb_controller.rules import references
from apb_controller.rules.steps import Blocked, Limits, Object


@dataclass(frozen=True)
class World:
    """`instance` is None only when it is known not to be there."""

    now: datetime
    instance: Object | None = None
    classes: Sequence[Object] = ()
    plans: Sequence[Object] = ()
    broker: Object | None = None
    namespace: Object | None = None
    secret: Object | None = None  # metadata of the one of spec.secretName
    secrets: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (name, key) of parametersFrom -> text
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # name -> data in base64, of addKeysFrom
    cluster_id: str = ""
    new_id: str = ""  # an id that nothing has
    limits: Limits = field(default_factory=Limits)
    leading_since: datetime | None = None  # what was recorded before may have been sent by a controller that died


def key(binding: Object) -> str:
    """`namespace/name` of the instance."""
    return f"{binding['metadata']['namespace']}/{binding['spec']['instanceRef']['name']}"


def described(binding: Object, world: World) -> str:
    """The instance with its class and broker, as upstream's messages call it."""
    named = f'ServiceInstance "{key(binding)}"'
    try:
        found = references.by_refs(world.instance or {"spec": {}}, world.classes, world.plans)
    except Blocked:
        return named
    return f"{named} of {found.described_class} at {found.described_broker}"


def referred(instance: Object, world: World) -> references.Referred:
    """The instance's class and plan. Raises Blocked."""
    scope = references.scope_of(instance["spec"])
    if not all(instance["spec"].get(ref) for ref in (scope.class_ref, scope.plan_ref)):
        name = f"{instance['metadata']['namespace']}/{instance['metadata']['name']}"
        raise Blocked(
            "ErrorInstanceRefsUnresolved",
            f'Binding cannot begin because {scope.service_class} and {scope.plan} references for ServiceInstance "{name}" have not been '
            "resolved yet",
        )
    found = references.by_refs(instance, world.classes, world.plans)
    if world.broker is None:
        raise Blocked("ReferencesNonexistentBroker", f"The binding references a non-existent broker: {found.described_broker}")
    return found


def owner(binding: Object) -> Object:
    """The reference by which a Secret is the binding's."""
    return {
        "apiVersion": "servicecatalog.k8s.io/v1beta1",
        "kind": "ServiceBinding",
        "name": binding["metadata"]["name"],
        "uid": binding["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_owned(secret: Object, binding: Object) -> bool:
    """Whether the Secret is the binding's own."""
    owners = secret["metadata"].get("ownerReferences") or []
    return any(one.get("controller") and one.get("uid") == binding["metadata"]["uid"] for one in owners)
