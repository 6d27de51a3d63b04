"""ClusterServicePlan and ServicePlan: a size or kind of a service."""

from apb_controller.kinds import classes, schema
from apb_controller.kinds.manifest import Kind
from apb_controller.scopes import Scope


def kind(scope: Scope) -> Kind:
    """The kind in that scope."""
    class_name = f".spec.{scope.class_ref}.name"
    return Kind(
        name=scope.plan,
        plural=scope.plan.lower() + "s",
        short_names=["csplan" if scope.is_cluster else "splan"],
        is_namespaced=not scope.is_cluster,
        description=f"A plan of a {scope.service_class}.",
        spec=_spec(scope),
        status=classes.removed("plan"),
        columns={"External-Name": ".spec.externalName", "Broker": f".spec.{scope.broker_field}", "Class": class_name},
        selectable=[f".spec.{scope.broker_field}", ".spec.externalName", ".spec.externalID", class_name],
    )


def _spec(scope: Scope) -> schema.Schema:
    ref = scope.class_ref
    owned = f"has(self.{ref}) && has(self.{ref}.name) && self.{ref}.name != ''"
    return schema.record(
        "The plan as the catalog describes it.",
        {
            **classes.named(scope, "plan"),
            ref: schema.reference(f"The {scope.service_class} that the plan belongs to."),
            "bindable": schema.flag("Whether instances can be bound; the class's word if absent."),
            "free": schema.flag("Whether it costs nothing."),
            "externalMetadata": schema.free("What the catalog tells platforms and people beyond the specification."),
            "instanceCreateParameterSchema": schema.free("JSON Schema of the parameters of a new instance."),
            "instanceUpdateParameterSchema": schema.free("JSON Schema of the parameters of an update."),
            "serviceBindingCreateParameterSchema": schema.free("JSON Schema of the parameters of a binding."),
            "defaultProvisionParameters": schema.free("Parameters that instances get unless they say otherwise. Yours: kept at a relist."),
            "planUpdatable": schema.flag(
                "Whether an instance can leave this plan; the class's word if absent. (Not upstream's: OSB 2.15.)"
            ),
            "maximumPollingDuration": schema.number("Seconds after which an operation counts as failed. (Not upstream's: OSB 2.15.)"),
            "maintenanceInfo": schema.free("The plan's maintenance version. (Not upstream's: OSB 2.15.)"),
        },
        [
            *classes.rules(scope, scope.plan),
            schema.rule(owned, "an owning serviceclass is required"),
            schema.rule(
                f"!has(oldSelf.{ref}) || !has(oldSelf.{ref}.name) || ({owned} && self.{ref}.name == oldSelf.{ref}.name)",
                "field is immutable",
            ),
        ],
    )
