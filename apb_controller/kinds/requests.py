"""What instances and bindings share: parameters, who asked, and the operation in progress."""

from apb_controller.kinds import conditions, schema


def spec() -> dict[str, schema.Schema]:
    """Fields of the spec."""
    return {
        "parameters": schema.free(
            "Parameters for the broker. No secrets here: everybody who reads the object reads them. See parametersFrom.", minProperties=1
        ),
        "parametersFrom": schema.items("Secrets whose parameters are added.", _source(), maxItems=schema.MOST_SOURCES),
        "externalID": schema.text("The id at the broker; made by the controller if absent.", maxLength=schema.LONGEST_TEXT),
        "userInfo": user("Who last changed the spec, told to the broker as originating identity. Set for you."),
    }


def rules() -> list[schema.Rule]:
    """Of the spec. An id is a part of an address: a DELETE of the binding `..` would be one of its instance."""
    return [
        schema.immutable("externalID"),
        schema.rule("!has(self.externalID) || !(self.externalID in ['.', '..'])", "externalID must not be . or .."),
    ]


def _source() -> schema.Schema:
    key = schema.record(
        "A key of a Secret of this namespace; its value is a JSON object.",
        {"name": schema.text("The name of the Secret.", maxLength=253), "key": schema.text("The key in it.", maxLength=253)},
        [schema.required("name"), schema.required("key")],
    )
    return schema.record(
        "One source of parameters.",
        {"secretKeyRef": key},
        [schema.rule("has(self.secretKeyRef)", "source must not be empty if present")],
    )


def user(description: str) -> schema.Schema:
    """A Kubernetes user, as the API server tells it to webhooks."""
    groups = {"type": "object", "additionalProperties": {"type": "array", "nullable": True, "items": {"type": "string"}}}
    return schema.record(
        description,
        {
            "username": schema.text("The name of the user."),
            "uid": schema.text("The id of the user, if the authenticator knows one."),
            "groups": schema.texts("The groups of the user.", nullable=True),
            "extra": {"description": "What else the authenticator tells.", **groups},
        },
    )


def status(condition_types: str, operations: list[str]) -> dict[str, schema.Schema]:
    """Fields of the status."""
    return {
        "conditions": conditions.listed(condition_types),
        "asyncOpInProgress": schema.flag("The broker works on the operation; the controller asks for its state."),
        "orphanMitigationInProgress": schema.flag("What the broker may have made is being removed, because its answer left that open."),
        "lastOperation": schema.text("The broker's name for its operation, sent back with each question.", nullable=True),
        "currentOperation": schema.text(f"What is being done: {', '.join(operations)}, or nothing.", enum=["", *operations]),
        "reconciledGeneration": schema.number("The metadata.generation that was last carried out. Use observedGeneration of instances."),
        "operationStartTime": schema.time("When the current operation began."),
        "lastConditionState": conditions.last_state(),
        "outcomeUncertain": schema.flag("An answer got lost: the broker may have more, or other, than is known. (Not upstream's.)"),
        "attempts": conditions.ATTEMPTS,
        "nextAttemptTime": conditions.NEXT_ATTEMPT,
    }


def properties(description: str, more: dict[str, schema.Schema]) -> schema.Schema:
    """What was sent to the broker: `inProgressProperties` and `externalProperties`."""
    return schema.record(
        description,
        {
            **more,
            "parameters": schema.free('The parameters; values that came from Secrets are "<redacted>".', nullable=True),
            "parameterChecksum": schema.text("SHA-256 of all parameters, in hex."),
            "userInfo": user("Who asked."),
        },
        nullable=True,
    )


def undone(description: str) -> schema.Schema:
    """`deprovisionStatus` and `unbindStatus`."""
    return schema.text(description, enum=["", "NotRequired", "Required", "Succeeded", "Failed"])
