"""ClusterServiceBroker and ServiceBroker: where a catalog comes from."""

from apb_controller.kinds import conditions, schema
from apb_controller.kinds.manifest import Kind
from apb_controller.scopes import Scope

NO_CREDENTIALS = "auth config is required"


def kind(scope: Scope) -> Kind:
    """The kind in that scope."""
    return Kind(
        name=scope.broker,
        plural=scope.broker.lower() + "s",
        short_names=["csbroker" if scope.is_cluster else "sbroker"],
        is_namespaced=not scope.is_cluster,
        description=f"A service broker whose services are offered in {'the whole cluster' if scope.is_cluster else 'one namespace'}.",
        spec=_spec(scope),
        status=_status(),
        columns={"URL": ".spec.url", "Status": ".status.lastConditionState"},
        selectable=[".spec.url"],
    )


def _spec(scope: Scope) -> schema.Schema:
    verified = "!(has(self.caBundle) && has(self.insecureSkipTLSVerify) && self.insecureSkipTLSVerify)"
    return schema.record(
        "What the operator wants.",
        {
            "url": schema.text("The address of the broker, without /v2.", maxLength=schema.LONGEST_TEXT),
            "insecureSkipTLSVerify": schema.flag("Whether any TLS certificate is accepted. Strongly discouraged: use caBundle."),
            "caBundle": schema.data("PEM certificates, in base64, of the authorities that the broker's certificate is checked by."),
            "authInfo": _auth(scope),
            "relistBehavior": schema.text(
                "Duration: the catalog is read again whenever relistDuration has passed; Manual: only when the spec changes.",
                maxLength=64,
                default="Duration",
                **{
                    "x-kubernetes-validations": [
                        schema.rule("self == '' || self in ['Duration', 'Manual']", 'relist behavior must be "Manual" or "Duration"')
                    ]
                },
            ),
            "relistDuration": schema.duration(
                "How often the catalog is read again, for example 15m. The controller's default if absent.",
                **{
                    "x-kubernetes-validations": [schema.rule("duration(self) > duration('0s')", "relistDuration must be greater than zero")]
                },
            ),
            "relistRequests": schema.number(
                "Raise it by one to have the catalog read at once.",
                **{"x-kubernetes-validations": [schema.rule("self >= oldSelf || self == 0", "RelistRequests must be strictly increasing")]},
            ),
            "catalogRestrictions": schema.record(
                "Which classes and plans of the catalog become objects; all if absent.",
                {
                    "serviceClass": schema.texts(
                        "Requirements in the language of label selectors, all of which a class has to meet, "
                        'on name, spec.externalName and spec.externalID: "spec.externalName in (redis, postgresql)".'
                    ),
                    "servicePlan": schema.texts(
                        f"The same for plans, on name, spec.externalName, spec.externalID, spec.free and spec.{scope.class_field}.name."
                    ),
                },
            ),
        },
        [
            schema.required("url", "brokers must have a remote url to contact"),
            schema.rule(verified, "caBundle cannot be used when insecureSkipTLSVerify is true"),
        ],
    )


def _auth(scope: Scope) -> schema.Schema:
    def login(keys: str, message: str) -> schema.Schema:
        return schema.record(
            f"The login that is in a Secret, keys {keys}.",
            {"secretRef": _secret_ref(scope)},
            [schema.rule("has(self.secretRef)", message)],
        )

    return schema.record(
        "How the controller logs in at the broker: by basic or by bearer. Without it nothing is sent.",
        {
            "basic": login("username and password", "a basic auth secret is required"),
            "bearer": login("token", "a bearer auth secret is required"),
        },
        [schema.exactly_one(["basic", "bearer"], NO_CREDENTIALS)],
    )


def _secret_ref(scope: Scope) -> schema.Schema:
    name = {"name": schema.text("The name of the Secret.", maxLength=253)}
    rules = [schema.required("name")]
    if not scope.is_cluster:
        return schema.record("A Secret in the broker's namespace.", name, rules)
    namespace = {"namespace": schema.text("The namespace of the Secret.", maxLength=63)}
    # CEL reserves the word `namespace`; Kubernetes gives such a field underscores.
    rules.append(schema.required("__namespace__", "namespace is required"))
    return schema.record("A Secret.", {**namespace, **name}, rules)


def _status() -> schema.Schema:
    return schema.record(
        "What the controller found.",
        {
            "conditions": conditions.listed("Ready, Failed"),
            "reconciledGeneration": schema.number("The metadata.generation whose catalog was last read."),
            "observedGeneration": schema.number("The metadata.generation that the status speaks of. (Not upstream's.)"),
            "operationStartTime": schema.time("Since when the catalog cannot be read."),
            "lastCatalogRetrievalTime": schema.time("When the catalog was last read."),
            "lastConditionState": conditions.last_state(),
            "attempts": conditions.ATTEMPTS,
            "nextAttemptTime": conditions.NEXT_ATTEMPT,
        },
    )
