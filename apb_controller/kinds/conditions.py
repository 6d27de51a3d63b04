"""Conditions, and the other fields that every status has."""

from apb_controller.kinds import schema

# Not upstream's: what its controller keeps in memory, and forgets when it is restarted.
ATTEMPTS = schema.number("How often the current operation was tried or asked about without an end. (Not upstream's.)")
NEXT_ATTEMPT = schema.time("When the controller tries or asks again; it survives a restart of the controller. (Not upstream's.)")


def listed(types: str) -> schema.Schema:
    """The list of conditions of the given types."""
    condition = schema.record(
        "One condition.",
        {
            "type": schema.text(f"One of {types}."),
            "status": schema.text("True, False or Unknown.", enum=["True", "False", "Unknown"]),
            "lastTransitionTime": schema.time("When the status last changed."),
            "reason": schema.text("Why, as one word for programs."),
            "message": schema.text("Why, as a sentence for people."),
        },
        required=["type", "status"],
    )
    return schema.items(f"What is the case now: {types}.", condition, nullable=True)


def last_state() -> schema.Schema:
    """The field that the printer column Status shows."""
    return schema.text("The last condition in the list: its type if it is True, otherwise its reason.")
