"""Where the programs of a control plane come from: given, kept, or built, by one at a time. A script plays Go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import programs

pytestmark = pytest.mark.cluster
PYTHON, ROOT = sys.executable, Path(__file__).parents[2]
GO = """\
#!/bin/sh
echo "$*" >> {log}
case "$*" in
list*) {understands} ;;
build*)
  /bin/sleep {seconds}
  while [ "$1" != -o ]; do shift; done
  {builds} ;;
esac
"""


class Go:
    """The only one on the PATH, and the cache is empty."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log, self._program = place / "log", place / "bin" / "go"
        self._program.parent.mkdir()
        monkeypatch.setenv("PATH", str(self._program.parent))
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
        monkeypatch.setattr(sys, "executable", str(place / "bin" / "python"))
        self.cache = place / "cache" / "apb-tests" / "cluster"

    def put(self, *, understands: str = "exit 0", builds: str = ': > "$2"', seconds: float = 0) -> None:
        """Makes it."""
        self._program.write_text(GO.format(log=self._log, understands=understands, builds=builds, seconds=seconds))
        self._program.chmod(0o755)

    @property
    def builds(self) -> list[str]:
        """Its arguments each time."""
        return [line for line in self._log.read_text().splitlines() if line.startswith("build ")]


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """None yet."""
    return Go(tmp_path, monkeypatch)


def test_given_programs_are_used_and_what_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBEBUILDER_ASSETS, as envtest reads it."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    (tmp_path / "etcd").touch()
    with pytest.raises(programs.Missing, match=r"^KUBEBUILDER_ASSETS=.* has no kube-apiserver$"):
        programs.find()
    (tmp_path / "kube-apiserver").touch()
    assert programs.find() == {name: tmp_path / name for name in ("etcd", "kube-apiserver")}


def test_programs_are_built_once(go: Go) -> None:
    """By the first of those that want them at the same time, and found afterwards; those of a node are another build."""
    go.put(seconds=0.5)
    script = "from tests.cluster import programs; print(programs.find()['kubectl'])"
    both = [subprocess.Popen([PYTHON, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [each.communicate()[0].splitlines() for each in both]
    assert {lines[-1] for lines in told} == {str(programs.find()["kubectl"])}
    assert sorted(len(lines) for lines in told) == [1, 2], "one of them builds, and says so"
    [build] = go.builds
    assert "-tags" not in build
    assert set(programs.find(lambda _sentence: None, has_node=True)) >= {"kubelet", "etcd"}
    assert "-tags=node" in go.builds[1]


def test_build_that_fails_is_told_and_leaves_nothing(go: Go) -> None:
    """The next one begins anew."""
    go.put(builds="echo no space left >&2; exit 1")
    with pytest.raises(programs.Missing, match="Kubernetes cannot be built: no space left"):
        programs.find(lambda _sentence: None)
    assert [path.suffix for path in go.cache.iterdir()] == [".lock"]


def test_go_that_is_not_there_or_too_old_is_told_with_the_cure(go: Go) -> None:
    """Not every one reads this go.mod."""
    with pytest.raises(programs.Missing, match=r"KUBECONFIG, KUBEBUILDER_ASSETS.*there is no `go`; `make go` gets one"):
        programs.find()
    go.put(understands="echo go: invalid go version >&2; exit 1")
    with pytest.raises(programs.Missing, match=r"bin/go cannot: go: invalid go version; `make go` gets one"):
        programs.find()


@pytest.mark.parametrize(
    ("required", "code", "told"), [("", 0, "tests/cluster is skipped: no Kubernetes"), ("required", 1, "no Kubernetes")]
)
def test_programs_that_lack_are_an_error_where_they_are_required(go: Go, required: str, code: int, told: str) -> None:
    """Elsewhere the tests are skipped, and that is said."""
    environment = {**os.environ, "APB_TEST_CLUSTER": required}
    command = [
        PYTHON,
        "-c",
        "import sys; from tests.cluster import __main__; sys.executable = '/'; sys.argv[1:] = ['build']; __main__.main()",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert (done.stdout + done.stderr).startswith(told)
