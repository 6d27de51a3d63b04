"""Protection from deletion: whose word counts for an instance, and the refusal of a platform that deletes it.

Only platforms are kept from deleting. What an operator does by hand, updates and bindings go on as ever.
"""

from typing import Literal

from apb_broker.lifecycle import errors
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage.tables import Instance

Protector = Literal["operator", "plan"]


def of(broker: Broker, instance: Instance) -> Protector | None:
    """Who protects it. The operator's word about the instance itself wins over that about its plan (apb.yml, `offers`)."""
    if instance.deletion_protection is not None:
        return "operator" if instance.deletion_protection else None
    offer = broker.catalog.of_plan(instance.plan_id)
    return "plan" if offer is not None and offer.deletion_protection else None


def require_none(broker: Broker, instance: Instance) -> None:
    """Refuses a platform's deletion of a protected instance. Raises Protected.

    One that was never provisioned is not protected: there is no data in it, and platforms have to clear away what they gave up on
    (OSB 2.17, "Orphan Mitigation").
    """
    protector = of(broker, instance)
    if protector is not None and instance.was_made:
        whose = f"its plan {instance.plan_name}" if protector == "plan" else "an operator"
        raise errors.Protected(
            f"instance {instance.id} is protected from deletion by {whose}; nothing was changed. "
            f"An operator lifts that by `apb unprotect {instance.id}`, then it can be deleted"
        )
