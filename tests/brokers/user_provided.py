"""A user-provided-service broker, as upstream's walk-through uses it: the credentials are what the parameters of the instance say.

As a process: `python -m tests.brokers.user_provided`.
"""

import argparse
from typing import Any

from tests.brokers import ledger, scripted

UNTOLD = {"special-key-1": "special-value-1", "special-key-2": "special-value-2"}


def catalog() -> dict[str, Any]:
    """Upstream's: the service with two plans, and with a single one."""
    return {
        "services": [
            _service(
                "user-provided-service",
                "4f6e6cf6-ffdd-425f-a2c7-3c9258ad2468",
                default="86064792-7ea2-467b-af93-ac9694d96d52",
                premium="cc0d7529-18e8-416d-8946-6f7456acd589",
            ),
            _service(
                "user-provided-service-single-plan", "5f6e6cf6-ffdd-425f-a2c7-3c9258ad2468", default="96064792-7ea2-467b-af93-ac9694d96d52"
            ),
        ]
    }


def _service(name: str, identity: str, **plans: str) -> dict[str, Any]:
    return {
        "name": name,
        "id": identity,
        "description": "A user provided service",
        "bindable": True,
        "plan_updateable": True,
        "plans": [{"name": plan, "id": plan_id, "description": f"The {plan} plan", "free": True} for plan, plan_id in plans.items()],
    }


class Ledger(ledger.Ledger):
    """Its instances are what people say."""

    def credentials(self, instance_id: str, _binding_id: str) -> dict[str, Any]:
        """Of all bindings of an instance."""
        told: dict[str, Any] = self.instances[instance_id].parameters.get("credentials", UNTOLD)
        return told


def broker(**given: Any) -> scripted.Broker:
    """One. `given` as to scripted.Broker."""
    return scripted.Broker(Ledger(catalog()), **given)


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(prog="python -m tests.brokers.user_provided", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    scripted.serve(broker(port=parser.parse_args().port))


if __name__ == "__main__":
    main()
