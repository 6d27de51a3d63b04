"""Work that is due by itself: what the sweep of each worker serves, in one place."""

from apb_broker.lifecycle import bindings, health, janitor, kept, operations
from apb_broker.lifecycle.broker import Broker


def serve(broker: Broker) -> None:
    """Takes up what nobody works on, ends what has expired, tries failed removals again, and has new instances looked at."""
    operations.sweep(broker)
    bindings.unbind_expired(broker)
    kept.purge_due(broker)
    janitor.retry_due(broker)
    health.enroll(broker)
