"""What `apb init` writes, in the eyes of ansible-lint."""

import subprocess
import sys
from pathlib import Path

from apb_broker.authoring import scaffold

FILES = {
    "galaxy.yml": "namespace: other\nname: services\nversion: 1.0.0\n",
    "README.md": "# x\n",
    "meta/runtime.yml": "---\nrequires_ansible: '>=2.19.0'\n",
    "LICENSE": "x\n",
}


def test_new_service_passes_ansible_lint(tmp_path: Path) -> None:
    """Profile production, the molecule scenario too."""
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    scaffold.make("hello", collection=tmp_path)
    command = [sys.executable, "-m", "ansiblelint", "--offline", "-q", "--profile", "production", "--nocolor", "roles", "molecule"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
