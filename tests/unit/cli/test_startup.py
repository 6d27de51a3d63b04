"""What a start imports, and the commands that run a broker."""

import subprocess
import sys
import types

import pytest

from apb_broker.catalog.errors import CatalogError
from apb_broker.machine.errors import AlreadyRunning

HEAVY = ("sqlalchemy", "flask", "ansible", "ansible_runner", "gunicorn", "psycopg", "apb_broker", "ansible_collections")


def modules_after(*words, environment):
    code = "import sys\nfrom apb_cli.main import main\ntry: main()\nfinally: sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("words", [["--help"], ["provision", "--help"], ["marketplace"]])
def test_client_commands_do_not_import_the_broker(environment, words):
    """Neither help nor a client command pays for the server."""
    loaded = modules_after(*words, environment={**environment, "PATH": "/usr/bin:/bin"})
    assert not loaded.intersection(HEAVY)
    assert words == ["marketplace"] or "httpx" not in loaded


def test_up_runs_the_machine(apb, monkeypatch, tmp_path):
    """Its messages are printed, its exit code is ours."""
    calls = []

    def run_up(*, state_dir, listen, on_message, ports):
        calls.append((state_dir, listen, ports))
        on_message("ready on http://127.0.0.1:8781")
        return 3

    _put_module(monkeypatch, "apb_broker.machine", "up", run_up=run_up)
    result = apb("up", "--state-dir", str(tmp_path), "--listen", "127.0.0.1:8781", "--ports", "30000-30009")
    assert (result.exit_code, result.stdout) == (3, "ready on http://127.0.0.1:8781\n")
    assert calls == [(tmp_path, "127.0.0.1:8781", "30000-30009")]


@pytest.mark.parametrize(("command", "module", "function"), [("serve", "server", "serve"), ("worker", "worker.main", "run")])
def test_serve_and_worker_get_the_state_directory(apb, monkeypatch, tmp_path, command, module, function):
    """And an error the operator can cure is a sentence."""
    calls = []
    package, _, name = f"apb_broker.{module}".rpartition(".")
    _put_module(monkeypatch, package, name, **{function: calls.append})
    assert apb(command, "--state-dir", str(tmp_path)).exit_code == 0
    assert calls == [tmp_path]

    def fail(state_dir):
        raise CatalogError("apb.yml names no role 'x'")

    _put_module(monkeypatch, package, name, **{function: fail})
    result = apb(command)
    assert (result.exit_code, result.stderr) == (1, "apb: apb.yml names no role 'x'\n")


def test_up_tells_why_it_does_not_start(apb, monkeypatch):
    """A MachineError is a sentence and exit code 1."""

    def run_up(**given):
        raise AlreadyRunning("`apb up` already runs")

    _put_module(monkeypatch, "apb_broker.machine", "up", run_up=run_up)
    result = apb("up")
    assert (result.exit_code, result.stderr) == (1, "apb: `apb up` already runs\n")


def test_version_is_shown(apb):
    """Name and number."""
    assert apb("--version").stdout.startswith("apb 0.")


def _put_module(monkeypatch, package, name, **contents):
    module = types.ModuleType(f"{package}.{name}")
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(f"{package}.{name}", module, raising=False)
