"""ServiceBinding: credentials of an instance, in a Secret."""

from apb_controller.kinds import requests, schema
from apb_controller.kinds.manifest import Kind

TRANSFORMS = ["renameKey", "addKey", "addKeysFrom", "removeKey"]
VALUES = ["value", "stringValue", "jsonPathExpression"]


def kind() -> Kind:
    """The kind."""
    return Kind(
        name="ServiceBinding",
        plural="servicebindings",
        short_names=["sbind"],
        is_namespaced=True,
        description="Credentials of a ServiceInstance, which the controller keeps in a Secret.",
        spec=_spec(),
        status=_status(),
        columns={
            "Service-Instance": ".spec.instanceRef.name",
            "Secret-Name": ".spec.secretName",
            "Status": ".status.lastConditionState",
        },
        selectable=[".spec.externalID", ".spec.instanceRef.name", ".spec.secretName"],
    )


def _spec() -> schema.Schema:
    named = "has(self.instanceRef) && has(self.instanceRef.name) && self.instanceRef.name != ''"
    moved = "has(self.instanceRef) && has(oldSelf.instanceRef) && self.instanceRef == oldSelf.instanceRef"
    return schema.record(
        "What the user wants. It does not change: other credentials are another binding.",
        {
            "instanceRef": schema.reference("The ServiceInstance, of this namespace."),
            **requests.spec(),
            "secretName": schema.text("The Secret to keep the credentials in; the binding's name if absent.", maxLength=253),
            "secretTransforms": schema.items(
                "What is done to the credentials before they are kept, in this order.", _transform(), maxItems=schema.MOST_SOURCES
            ),
        },
        [
            schema.rule(named, "instanceRef.name is required"),
            schema.rule(moved, "field is immutable"),
            *requests.rules(),
            schema.immutable("secretName"),
            schema.rule(
                "has(self.secretTransforms) == has(oldSelf.secretTransforms)"
                " && (!has(self.secretTransforms) || self.secretTransforms == oldSelf.secretTransforms)",
                "field is immutable",
            ),
        ],
    )


def _transform() -> schema.Schema:
    key = schema.text("The key.", maxLength=253)
    rename = schema.record(
        "Gives a key another name.",
        {"from": schema.text("The key as it is.", maxLength=253), "to": schema.text("The key as it shall be.", maxLength=253)},
        required=["from", "to"],
    )
    add = schema.record(
        "Adds a key, by one of three kinds of value.",
        {
            "key": key,
            "value": schema.data("Bytes, in base64."),
            "stringValue": schema.text("A text.", maxLength=schema.LONGEST_TEXT),
            "jsonPathExpression": schema.text(
                'A template over the credentials, as of kubectl: "{.host}:{.port}".', maxLength=schema.LONGEST_TEXT
            ),
        },
        [schema.exactly_one(VALUES, f"exactly one of {VALUES[0]}, {VALUES[1]}, or {VALUES[2]} required")],
        required=["key"],
    )
    add_from = schema.record(
        "Adds all keys of a Secret of the binding's own namespace.",
        {
            "secretRef": schema.record(
                "The Secret.",
                {
                    "namespace": schema.text("The binding's namespace, or nothing.", maxLength=63),
                    "name": schema.text("The name of the Secret.", maxLength=253),
                },
                [schema.required("name")],
            )
        },
        required=["secretRef"],
    )
    remove = schema.record("Removes a key.", {"key": key}, required=["key"])
    first, *others, last = TRANSFORMS
    return schema.record(
        "One step: exactly one of its fields.",
        {"renameKey": rename, "addKey": add, "addKeysFrom": add_from, "removeKey": remove},
        [schema.exactly_one(TRANSFORMS, f"exactly one of {', '.join([first, *others])}, or {last} required")],
    )


def _status() -> schema.Schema:
    return schema.record(
        "How far the controller and the broker are.",
        {
            **requests.status("Ready, Failed", ["Bind", "Unbind"]),
            "inProgressProperties": requests.properties("What the current operation asks for.", {}),
            "externalProperties": requests.properties("What the broker has made.", {}),
            "unbindStatus": requests.undone("Whether the broker has to be asked to remove it, before the object may go."),
            "binding": schema.record(
                "The Secret, once it is there, as servicebinding.io asks of a provisioned service. (Not upstream's.)",
                {"name": schema.text("The name of the Secret.")},
                nullable=True,
            ),
        },
    )
