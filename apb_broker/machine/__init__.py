"""Everything that `apb up` does on this one machine: state directory, first configuration, embedded PostgreSQL, processes.

    code = up.run_up(state_dir, listen, on_message)

Leaves tables to `apb_broker.storage`, requests to `apb_broker.osb` and operations to `apb_broker.worker`, which run as
processes of their own; `StateDirectory` tells them where their files are.
"""
