"""An earlier state of this repository as a program: its own code, roles and migrations, with the libraries that are installed."""

import contextlib
import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import httpx

from tests.conftest import ROOT
from tests.e2e.machine import Machine

RELEASE = "85fd3f371bca2e796ceb24f971e8b3519f79d4d1"
"""What an upgrade comes from until there is a release: the last commit before there was a table of keys (revision 0004)."""


def why_missing(commit: str) -> str:
    """Why that commit cannot be had here, or ""."""
    try:
        found = subprocess.run(["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False)
    except FileNotFoundError:
        return "there is no git here"
    return "" if found.returncode == 0 else f"commit {commit[:12]} is not in the history of this checkout: git fetch --unshallow"


def checkout(commit: str, directory: Path) -> Path:
    """Puts that commit's files into a directory."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "--format=tar", commit], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(directory, filter="fully_trusted")
    collection = directory / "build" / "ansible_collections" / "apb" / "catalog"
    collection.parent.mkdir(parents=True)
    collection.symlink_to(directory)
    return directory


class EarlierMachine(Machine):
    """A machine that runs the earlier code."""

    def __init__(self, state: Path, ports: str, code: Path) -> None:
        super().__init__(state, ports)
        self.cwd = code
        path = os.pathsep.join((str(code), str(code / "build")))
        self.environment |= {"PYTHONPATH": path, "ANSIBLE_COLLECTIONS_PATH": str(code / "build")}

    def version_of(self, module: str) -> Path:
        """Where this machine's processes have a module of ours from."""
        command = [sys.executable, "-c", f"import {module}; print({module}.__file__)"]
        done = subprocess.run(command, env=self.environment, cwd=self.cwd, capture_output=True, text=True, check=True)
        return Path(done.stdout.strip())

    def _answers(self) -> bool:
        """Early ones had no /readyz."""
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            url = json.loads((self.state / "admin.json").read_text())["url"]
            return httpx.get(f"{url}/readyz", trust_env=False).status_code != httpx.codes.SERVICE_UNAVAILABLE
        return False
