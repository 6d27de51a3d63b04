"""ClusterServiceClass and ServiceClass: a service of a broker's catalog."""

from apb_controller.kinds import schema
from apb_controller.kinds.manifest import Kind
from apb_controller.scopes import Scope


def kind(scope: Scope) -> Kind:
    """The kind in that scope."""
    broker = scope.broker_field
    return Kind(
        name=scope.service_class,
        plural=scope.service_class.lower() + "es",
        short_names=["csclass" if scope.is_cluster else "sclass"],
        is_namespaced=not scope.is_cluster,
        description=f"A service that a {scope.broker} offers.",
        spec=schema.record(
            "The service as the catalog describes it.",
            {
                **named(scope, "service"),
                "bindable": schema.flag("Whether instances can be bound, unless their plan says otherwise."),
                "bindingRetrievable": schema.flag(
                    "Whether a binding can be fetched again, without which it cannot be made asynchronously."
                ),
                "planUpdatable": schema.flag("Whether an instance can change its plan, unless the plan says otherwise."),
                "externalMetadata": schema.free("What the catalog tells platforms and people beyond the specification."),
                "tags": schema.texts("Words that the service is found by."),
                "requires": schema.texts("Permissions the service needs: syslog_drain, route_forwarding, volume_mount."),
                "defaultProvisionParameters": schema.free(
                    "Parameters that instances get unless they say otherwise. Yours: kept at a relist."
                ),
            },
            rules(scope, scope.service_class),
        ),
        status=removed("class"),
        columns={"External-Name": ".spec.externalName", "Broker": f".spec.{broker}"},
        selectable=[f".spec.{broker}", ".spec.externalName", ".spec.externalID"],
    )


def named(scope: Scope, noun: str) -> dict[str, schema.Schema]:
    """The fields that classes and plans share."""
    return {
        scope.broker_field: schema.text(f"The {scope.broker} that offers it.", maxLength=253),
        "externalName": schema.text(
            f"The {noun}'s name in the catalog, for people; the broker may change it.", maxLength=schema.LONGEST_TEXT
        ),
        "externalID": schema.text(f"The {noun}'s id in the catalog.", maxLength=schema.LONGEST_TEXT),
        "description": schema.text(f"What the {noun} is.", maxLength=schema.LONGEST_TEXT),
    }


def rules(scope: Scope, kind_name: str) -> list[schema.Rule]:
    """The rules that classes and plans share."""
    return [
        *(schema.required(name) for name in (scope.broker_field, "externalName", "externalID", "description")),
        schema.immutable(scope.broker_field),
        schema.immutable("externalID", f"externalID cannot change when updating a {kind_name}"),
    ]


def removed(noun: str) -> schema.Schema:
    """The status of classes and plans."""
    return schema.record(
        f"What became of the {noun}.",
        {"removedFromBrokerCatalog": schema.flag(f"The catalog has it no more; the {noun} goes when its last instance has gone.")},
    )
