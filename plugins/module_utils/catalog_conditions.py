"""What the status of an object of servicecatalog.k8s.io says: whether it is ready, has failed, and why not. Nothing of Ansible."""

from __future__ import annotations

NOBODY = (
    "nothing has looked at it yet: does a service catalog controller run (apb controller), and does it reach this namespace? "
    "`kubectl get pods -A` and its logs tell"
)


def condition(found: dict, kind: str) -> dict:
    """The condition of that type; {} when there is none."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def is_current(found: dict) -> bool:
    """Whether the status speaks of the spec as it is now. One that does not say of which it speaks counts as such."""
    status = found.get("status") or {}
    seen = [status[field] for field in ("observedGeneration", "reconciledGeneration") if status.get(field)]
    return not seen or max(seen) >= found["metadata"].get("generation", 0)


def is_ready(found: dict) -> bool:
    """Whether it is there, as its spec wants it."""
    return is_current(found) and condition(found, "Ready").get("status") == "True"


def has_failed(found: dict) -> bool:
    """Whether nothing will be done about it any more until its spec changes."""
    return is_current(found) and not is_ready(found) and condition(found, "Failed").get("status") == "True"


def why(found: dict) -> str:
    """Reason and message of the condition that says why it is not ready, as one sentence for people."""
    kinds = ("Failed", "Ready") if has_failed(found) else ("Ready",)
    conditions = [each for each in (condition(found, kind) for kind in kinds) if each.get("reason") or each.get("message")]
    if not conditions:
        return NOBODY
    by_message = {each.get("message", "no message"): each.get("reason", "no reason") for each in reversed(conditions)}
    return "; ".join(f"{reason}: {message}" for message, reason in reversed(by_message.items()))


def called(found: dict) -> str:
    """How messages call it."""
    metadata = found["metadata"]
    return (
        f"{found['kind']} {metadata['namespace']}/{metadata['name']}"
        if metadata.get("namespace")
        else f"{found['kind']} {metadata['name']}"
    )
