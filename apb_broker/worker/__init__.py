"""The worker: claims operations, runs them, renews their leases, finishes them, sweeps up after others, drains at the end."""
