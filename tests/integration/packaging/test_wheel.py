"""What `pip install apb` gives, in an environment of its own."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UV = shutil.which("uv") or str(ROOT / ".uv/bin/uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    target = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", str(target), str(ROOT)], check=True)
    (built,) = target.glob("*.whl")
    return built


def test_wheel_carries_the_collection_and_its_data(wheel: Path) -> None:
    """Roles with their descriptions, playbooks, plugins, migrations and licences; no tests, no tools."""
    names = zipfile.ZipFile(wheel).namelist()
    collection = "ansible_collections/apb/catalog/"
    for part in ("galaxy.yml", "roles/redis/meta/service.yml", "playbooks/prepare_host.yml", "plugins/modules/redis_acl_user.py"):
        assert collection + part in names
    assert "apb_broker/storage/migrations/versions/0001_first_tables.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "tools/", "build/")) or "__pycache__" in name]


def test_installed_wheel_finds_command_and_playbooks_without_configuration(wheel: Path, tmp_path: Path) -> None:
    """`apb` and `ansible-playbook apb.catalog.provision` work from anywhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON", "VIRTUAL_ENV"))}
    environment["HOME"] = str(tmp_path)
    environment["UV_CACHE_DIR"] = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    venv = tmp_path / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True, env=environment)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", str(venv), str(wheel)], check=True, env=environment)

    def run(*words: str) -> str:
        command = [str(venv / "bin" / words[0]), *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "apb 0." in run("apb", "--version")
    assert "provision" in run("ansible-playbook", "--syntax-check", "-i", "localhost,", "apb.catalog.provision")
    offered = "from pathlib import Path; from apb_broker.catalog import roles; print(roles.find('apb.catalog.redis', []).description)"
    assert run("python", "-c", offered).strip().endswith("roles/redis/meta/service.yml")
