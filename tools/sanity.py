"""Runs ansible-test sanity over a copy of the collection, and fails when it tested nothing: sanity.py DIRECTORY.

ansible-test says "All targets skipped" and ends well when it finds no files. So each test has to have reported that it passed, and
one defect planted in the copy has to be found.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent

# Left out: changelog (`make check` runs antsibull-changelog itself); empty-init, pslint, shellcheck (there are no such files).
TESTS = (
    "action-plugin-docs",
    "ansible-doc",
    "compile",
    "ignores",
    "import",
    "line-endings",
    "no-assert",
    "no-get-exception",
    "no-illegal-filenames",
    "no-smart-quotes",
    "pep8",
    "pylint",
    "replace-urlopen",
    "runtime-metadata",
    "shebang",
    "symlinks",
    "use-argspec-type-path",
    "use-compat-six",
    "validate-modules",
    "yamllint",
)

# ansible-test downloads this program from a host that not every network reaches; it only has to put pip into a new environment.
GET_PIP = """\
# Written by tools/sanity.py of apb: pip from this Python's ensurepip and the package index.
import ensurepip, os, subprocess, sys
ensurepip.bootstrap(default_pip=True)
authorities = "/etc/ssl/certs/ca-certificates.crt"
if os.path.exists(authorities):
    os.environ.setdefault("PIP_CERT", authorities)  # ansible-test takes every PIP_* variable away
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check", "pip==%s"]))
"""


def main(directory: Path) -> None:
    collection = stage(directory)
    seed_pip_bootstrap()
    code = run(collection, TESTS)
    if code:
        sys.exit(code)
    if untested := [name for name in TESTS if not has_passed(collection, name)]:
        sys.exit(f"ansible-test ended well without having run: {', '.join(untested)}")
    defect = plant_defect(collection)
    if run(collection, ["validate-modules"], output=subprocess.DEVNULL) == 0:
        sys.exit(f"ansible-test found nothing wrong with a defect planted in {defect}")
    print(f"{len(TESTS)} sanity tests passed, a planted defect was found")


def stage(directory: Path) -> Path:
    subprocess.run([ROOT / "tools/stage-collection", directory], check=True)
    stage_dependency(directory)
    return directory.resolve() / "ansible_collections/apb/catalog"


def stage_dependency(directory: Path) -> None:
    """What modules of ours import: ansible-test finds other collections beside the tested one only."""
    installed = Path(importlib.util.find_spec("ansible_collections.kubernetes.core").submodule_search_locations[0])
    shutil.copytree(installed, directory / "ansible_collections/kubernetes/core")


def seed_pip_bootstrap() -> None:
    """Into ansible-test's cache, unless it has one; its name holds the version of pip that this ansible-test wants."""
    version = wanted_pip()
    cached = Path.home() / f".ansible/test/cache/get_pip_{version.replace('.', '_')}.py"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = cached.with_suffix(f".{os.getpid()}")
        temporary.write_text(GET_PIP % version)
        temporary.rename(cached)


def wanted_pip() -> str:
    package = Path(importlib.util.find_spec("ansible_test").origin).parent
    found = re.search(r"\bpip='([0-9.]+)'", (package / "_internal/python_requirements.py").read_text())
    return (
        found[1] if found else sys.exit("this ansible-test does not say which pip it wants: tools/sanity.py has to learn where it does now")
    )


def run(collection: Path, tests: Iterable[str], *, output: int | None = None) -> int:
    """Only with the Python of this environment: others on PATH may be shims that do not run."""
    programs = Path(sys.executable).parent
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [programs / "ansible-test", "sanity", "--python", version, "--color", "no", "--junit"]
    chosen = [word for name in tests for word in ("--test", name)]
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run([*command, *chosen], cwd=collection, env=environment, stdout=output, stderr=output, check=False).returncode


def has_passed(collection: Path, name: str) -> bool:
    """By its report: a test that was skipped says so in it, one that was not run has none."""
    reports = list((collection / "tests/output/junit").glob(f"ansible-test-sanity-{name}*.xml"))
    return bool(reports) and not any(ElementTree.parse(report).findall(".//skipped") for report in reports)


def plant_defect(collection: Path) -> Path:
    module = next((collection / "plugins/modules").glob("*.py"))
    module.write_text(module.read_text().replace("DOCUMENTATION = ", "DOCUMENTED = ", 1))
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]))
