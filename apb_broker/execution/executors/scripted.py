"""Runs without Ansible, for tests and load: how long one takes and how it ends is written in the job.

settings {"scripted": {...}} or, stronger, the parameter `scripted`: delay_seconds, outcome (succeeded, failed, hang,
lost), published, message, progress (texts).
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apb_broker.execution.executors import Emit
from apb_broker.execution.job import Job, Outcome, Progress


def run(job: Job, directory: Path, emit: Emit) -> Outcome:
    """Do what the script says."""
    script = script_of(job)
    for text in script.get("progress", []):
        emit(Progress(text, "localhost", datetime.now(UTC)))
    time.sleep(float(script.get("delay_seconds", 0)))
    match script.get("outcome", "succeeded"):
        case "succeeded":
            return Outcome("succeeded", published=script.get("published", {}))
        case "failed":
            return Outcome("failed", message=script.get("message", "It was told to fail"))
        case "lost":
            os._exit(1)
        case "hang":
            time.sleep(1e9)
    raise ValueError(f"no outcome is called {script['outcome']!r}")


def script_of(job: Job) -> dict[str, Any]:
    """The job's script."""
    by_parameter = job.variables.get("apb_parameters", {}).get("scripted", {})
    return {**job.settings.get("scripted", {}), **by_parameter}
