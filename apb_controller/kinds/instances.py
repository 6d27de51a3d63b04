"""ServiceInstance: something a broker made for a namespace."""

from apb_controller.kinds import requests, schema
from apb_controller.kinds.manifest import Kind
from apb_controller.scopes import BOTH, Scope

SPELLINGS = ("ExternalName", "ExternalID", "Name")
ONE_CATALOG = "instances can only refer to a cluster or namespaced class or plan type, but not both"
CLASS_FIRST = "plan references must have a class reference set"


def kind() -> Kind:
    """The kind."""
    return Kind(
        name="ServiceInstance",
        plural="serviceinstances",
        short_names=["bsi", "sinst"],
        is_namespaced=True,
        description="An instance of a service, made by its broker.",
        spec=_spec(),
        status=_status(),
        columns={
            "Class": ".status.userSpecifiedClassName",
            "Plan": ".status.userSpecifiedPlanName",
            "Status": ".status.lastConditionState",
        },
        selectable=[*(f".spec.{ref}.name" for scope in BOTH for ref in (scope.class_ref, scope.plan_ref)), ".spec.externalID"],
    )


def _spec() -> schema.Schema:
    words = {name: _word(name) for scope in BOTH for name in (*_class_words(scope), *_plan_words(scope))}
    refs = {
        ref: schema.reference("What the words above mean, found by the controller.")
        for scope in BOTH
        for ref in (scope.class_ref, scope.plan_ref)
    }
    return schema.record(
        "What the user wants: a class and a plan, each by one of three spellings, and parameters.",
        {
            **words,
            **refs,
            **requests.spec(),
            "updateRequests": schema.number(
                "Raise it by one to have the broker called again though nothing else has changed, as after a change of a Secret.",
                **{
                    "x-kubernetes-validations": [
                        schema.rule("self >= oldSelf || self == 0", "new updateRequests value must not be less than the old one")
                    ]
                },
            ),
        },
        _rules(),
    )


def _word(name: str) -> schema.Schema:
    spelling = next(spelling for spelling in SPELLINGS if name.endswith(spelling))
    means = {"ExternalName": "name in the broker's catalog", "ExternalID": "id in the broker's catalog", "Name": "Kubernetes name"}
    noun = name.removesuffix(spelling)
    return schema.text(f"The {noun[0].upper()}{noun[1:]} by its {means[spelling]}.", maxLength=schema.LONGEST_TEXT)


def _class_words(scope: Scope) -> list[str]:
    return [scope.class_field + spelling for spelling in SPELLINGS]


def _plan_words(scope: Scope) -> list[str]:
    return [scope.plan_field + spelling for spelling in SPELLINGS]


def _rules() -> list[schema.Rule]:
    cluster, namespaced = (_any([*_class_words(scope), *_plan_words(scope)]) for scope in BOTH)
    rules = [schema.rule(f"!({cluster} && {namespaced})", ONE_CATALOG)]
    rules.append(schema.rule(f"{_any([name for scope in BOTH for name in _class_words(scope)])}", _one_of(BOTH[0], BOTH[1])))
    for scope in BOTH:
        classes, plans = _class_words(scope), _plan_words(scope)
        rules.append(schema.rule(f"!{_any(plans)} || {_any(classes)}", CLASS_FIRST))
        rules.append(schema.rule(f"{_count(classes)} <= 1", f"exactly one of {classes[0]}, {classes[1]}, or {classes[2]} required"))
        rules.append(schema.rule(f"{_count(plans)} <= 1", f"exactly one of {plans[0]}, {plans[1]}, or {plans[2]} required"))
        rules += [
            schema.rule(
                f"!{schema.given(of_class)} || !{_any(plans)} || {schema.given(of_plan)}", f"must specify {of_plan} with {of_class}"
            )
            for of_class, of_plan in zip(classes, plans, strict=True)
        ]
        rules += [schema.immutable(name) for name in classes]
    return [*rules, *requests.rules()]


def _one_of(*scopes: Scope) -> str:
    names = [name for scope in scopes for name in _class_words(scope)]
    return f"exactly one of {', '.join(names[:-1])}, or {names[-1]} required"


def _any(names: list[str]) -> str:
    return f"({' || '.join(schema.given(name) for name in names)})"


def _count(names: list[str]) -> str:
    return f"[{', '.join(schema.given(name) for name in names)}].filter(present, present).size()"


def _status() -> schema.Schema:
    plan = {
        f"{scope.plan_field}{spelling}": schema.text(f"The {scope.plan}'s {'name' if spelling == 'ExternalName' else 'id'} in the catalog.")
        for scope in BOTH
        for spelling in ("ExternalName", "ExternalID")
    }
    return schema.record(
        "How far the controller and the broker are.",
        {
            **requests.status("Ready, Failed, OrphanMitigation", ["Provision", "Update", "Deprovision"]),
            "dashboardURL": schema.text("Where the instance is looked at and managed.", nullable=True),
            "observedGeneration": schema.number("The metadata.generation that the status speaks of."),
            "inProgressProperties": requests.properties("What the current operation asks for.", plan),
            "externalProperties": requests.properties("What the broker has made.", plan),
            "provisionStatus": schema.text("Whether the broker has made it.", enum=["", "Provisioned", "NotProvisioned"]),
            "deprovisionStatus": requests.undone("Whether the broker has to be asked to remove it, before the object may go."),
            "defaultProvisionParameters": schema.free("The default parameters that were added to the spec.", nullable=True),
            "userSpecifiedPlanName": schema.text("The plan as the user named it."),
            "userSpecifiedClassName": schema.text("The class as the user named it."),
            "connection": schema.free(
                "Where the instance is reached, as its broker tells; never a secret. (Not upstream's.)", nullable=True
            ),
        },
    )
