"""Orphan mitigation: what a broker may have made, though it did not say so, is removed before anything else."""

from dataclasses import dataclass

from apb_controller.rules.drafts import Draft


@dataclass(frozen=True)
class Texts:
    """How it is told: the condition that keeps the cause (bindings have none), and what Ready says."""

    condition: str | None
    reason: str
    message: str


def begin(draft: Draft, texts: Texts, reason: str, message: str) -> None:
    """The next step is a removal, at once. `reason` and `message`: what left it open.

    Attempts go on being counted, so that what is made and removed again and again is so more and more seldom.
    """
    if texts.condition:
        draft.condition(texts.condition, "True", reason, message)
    draft.ready("False", texts.reason, texts.message)
    draft.warn(texts.reason, texts.message)
    draft.stop_polling()
    draft.set(orphanMitigationInProgress=True, operationStartTime=None, nextAttemptTime=None)
