"""What instances and bindings become while the broker works, and while it does not remove what it should: the same for both."""

from apb_controller.rules.answers import Kind, Outcome
from apb_controller.rules.drafts import Draft
from apb_controller.rules.steps import Limits

NOT_POLLED = "ErrorPollingLastOperation"
TOO_LONG = "The broker has not removed it for too long; it goes on being asked"


def in_progress(draft: Draft, reason: str, message: str, outcome: Outcome, limits: Limits) -> None:
    """The operation goes on: what the broker says of it is told when it is new, and it is asked again later."""
    was_lost = draft.reason("Ready") == NOT_POLLED
    if outcome.kind is Kind.IN_PROGRESS and was_lost:
        draft.set(attempts=None)  # the pauses that grew while it could not be asked say nothing of how long it takes
    if outcome.kind is not Kind.IN_PROGRESS:
        error = f"Error polling last operation: {outcome.error or 'Status: 410'}"
        draft.ready("False", NOT_POLLED, error)
        draft.warn(NOT_POLLED, error)
    elif outcome.description:
        message = f"{message} ({outcome.description})"
        if draft.message("Ready") != message:
            draft.tell(reason, message)
        draft.ready("False", reason, message)
    elif was_lost:
        draft.ready("False", reason, message)
    draft.poll_later(limits, outcome.retry_after)


def not_removed(draft: Draft, status_field: str, reason: str, message: str, outcome: Outcome | None, limits: Limits) -> None:
    """A removal failed. It is tried again until it succeeds (OSB 2.17, "Orphan Mitigation"); that it takes too long is only told.

    `status_field` is `deprovisionStatus` or `unbindStatus`.
    """
    draft.stop_polling()
    draft.ready("Unknown", reason, message)
    draft.warn(reason, message)
    if draft.has_taken(limits.retry_duration) and draft.status.get(status_field) != "Failed":
        draft.set(**{status_field: "Failed"})
        draft.condition("Failed", "True", "ErrorReconciliationRetryTimeout", TOO_LONG)
        draft.warn("ErrorReconciliationRetryTimeout", TOO_LONG)
    draft.try_later(limits, outcome)
