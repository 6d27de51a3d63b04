"""How many requests the fuzzing sends, and from which seed: APB_FUZZ_REQUESTS (2,000 without it), APB_FUZZ_SEED."""

import os

REQUESTS = int(os.environ.get("APB_FUZZ_REQUESTS", "2000"))
SEED = int(os.environ.get("APB_FUZZ_SEED", "5"))

SHARES = {"routes": 0.2, "stateful": 0.25, "bytes": 0.55}


def share(name: str) -> int:
    """How many of the requests are for this part."""
    return round(REQUESTS * SHARES[name])


def told() -> str:
    """How to have the same requests again, for messages of failures."""
    return f"again with: APB_FUZZ_SEED={SEED} APB_FUZZ_REQUESTS={REQUESTS}"
