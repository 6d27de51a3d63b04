"""What the least program that does the same needs: reads all ServiceInstances and keeps them, or writes each of them some times.

    python -m bench.bare_catalog KUBECONFIG read
    python -m bench.bare_catalog KUBECONFIG write TIMES NAME …

It is the baseline of bench.controller, as a process of its own. Prints {"seconds", "pss"}.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import psutil

from bench import cluster

INSTANCES = f"{cluster.CATALOG}/serviceinstances"


async def read(client: cluster.Client) -> dict[str, cluster.Object]:
    """All of them, by name, without what only the API server needs."""
    kept = {}
    async for page in client.pages(INSTANCES):
        for each in page:
            each["metadata"].pop("managedFields", None)
            kept[f"{each['metadata']['namespace']}/{each['metadata']['name']}"] = each
    return kept


async def write(client: cluster.Client, times: int, paths: list[str]) -> None:
    """The status of each so many times, one after the other; several of them at a time."""

    async def one(path: str) -> None:
        for number in range(times):
            await client.call("PATCH", f"{cluster.CATALOG}/{path}/status", {"status": {"lastConditionState": f"State{number}"}})

    await cluster.all_of(paths, one)


async def run(kubeconfig: Path, what: str, *words: str) -> dict[str, float]:
    """Does it, and says what it took."""
    async with cluster.Client(kubeconfig) as client:
        began = time.monotonic()
        kept = await read(client) if what == "read" else await write(client, int(words[0]), list(words[1:]))
        seconds = time.monotonic() - began
        found = {"seconds": round(seconds, 3), "pss": psutil.Process().memory_full_info().pss / 2**20}
        del kept
        return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), *sys.argv[2:]))))
