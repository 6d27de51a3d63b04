"""PostgreSQL: tables, encryption at rest, migrations and the queue's statements. The only SQL of the broker.

Owns how state is kept. What may happen to it is decided in `apb_broker.lifecycle`.
"""
