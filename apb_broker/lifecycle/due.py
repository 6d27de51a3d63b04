"""Work that is due by itself: what the sweep of each worker serves, in one place."""

from apb_broker.lifecycle import bindings, janitor, kept, operations
from apb_broker.lifecycle.broker import Broker


def serve(broker: Broker) -> None:
    """Takes up what nobody works on, ends what has expired, and tries failed removals again. What is not due is not read."""
    operations.sweep(broker)
    bindings.unbind_expired(broker)
    kept.purge_due(broker)
    janitor.retry_due(broker)
