"""What `ansible-galaxy collection build` packs, and that it works where it is installed."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(sys.executable).parent
PARTS = ("LICENSES", "meta", "plugins", "roles", "playbooks")
SINGLE_FILES = {"README.md", "LICENSE", "CHANGELOG.md", "requirements.txt", "changelogs/changelog.yaml", "changelogs/config.yaml"}
MADE_BY_GALAXY = {"MANIFEST.json", "FILES.json"}


def run(*words, cwd, collections):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON", "VIRTUAL_ENV"))}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(collections), "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of_checkout(*parts):
    """What is there and not ignored: committed or just written."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *parts]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in names if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    """The collection of this checkout, built beside everything that does not belong into it."""
    target = tmp_path_factory.mktemp("built")
    run("ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(target), cwd=target, collections=target)
    (built,) = target.glob("apb-catalog-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def installed(tarball, tmp_path_factory):
    """The folder of collections into which it was installed; by force, because this checkout counts as installed already."""
    target = tmp_path_factory.mktemp("installed")
    run("ansible-galaxy", "collection", "install", str(tarball), "--offline", "--force", "-p", str(target), cwd=target, collections=target)
    return target


def test_collection_holds_its_parts_and_nothing_else(tarball):
    """Plugins, roles with their clients, playbooks and licences; nothing of the broker, no tests, documents, hidden or made files."""
    with tarfile.open(tarball) as archive:
        packed = {member.name for member in archive.getmembers() if member.isfile()}
    assert packed == files_of_checkout(*PARTS) | SINGLE_FILES | MADE_BY_GALAXY
    assert not [name for name in packed if any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))]


def test_collection_documents_itself_when_installed(installed):
    """ansible-doc finds every module, lookup and inventory, in the installed copy and not in this checkout."""
    for kind, folder in (("module", "modules"), ("lookup", "lookup"), ("inventory", "inventory")):
        names = sorted(f"apb.catalog.{path.stem}" for path in (ROOT / "plugins" / folder).glob("*.py"))
        documented = json.loads(run("ansible-doc", "--json", "--type", kind, *names, cwd=installed, collections=installed))
        assert sorted(documented) == names
        place = str(installed / "ansible_collections/apb/catalog/plugins" / folder)
        assert {str(Path(found["doc"]["filename"]).parent) for found in documented.values()} == {place}


def test_collection_offers_its_playbooks_when_installed(installed):
    """Each playbook is found by its full name, with everything it names."""
    playbooks = sorted(f"apb.catalog.{path.stem}" for path in (ROOT / "playbooks").glob("*.yml"))
    run("ansible-playbook", "-i", "localhost,", "--syntax-check", *playbooks, cwd=installed, collections=installed)
