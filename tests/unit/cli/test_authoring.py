"""`apb init` and `apb lint` as their users meet them."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def hello(apb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new service in a services_path."""
    monkeypatch.chdir(tmp_path)
    assert apb("init", "hello", "--services-path", "services").exit_code == 0
    return tmp_path / "services" / "hello"


def test_init_says_what_comes_next(apb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the role is, and three commands."""
    monkeypatch.chdir(tmp_path)
    lines = apb("init", "hello", "--services-path", "services").stdout.splitlines()
    assert lines[0].startswith("services/hello: a service that works, in ")
    assert [line.split()[0:2] for line in lines[2:]] == [
        ["apb", "lint"],
        ["ansible-playbook", "apb.catalog.provision"],
        ["apb", "provision"],
    ]


def test_init_refuses_what_exists(apb, hello: Path) -> None:
    """Exit code 2, and a sentence."""
    result = apb("init", "hello", "--services-path", "services")
    assert result.exit_code == 2
    assert result.stderr == "apb: services/hello exists already: choose another name, or remove it first\n"


def test_lint_says_nothing_of_a_good_service(apb, hello: Path) -> None:
    """Exit code 0."""
    result = apb("lint", "services")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "1 service: nothing to say\n")


def test_lint_fails_for_mistakes(apb, hello: Path) -> None:
    """Exit code 1, one line each on stdout, a summary on stderr."""
    (hello / "tasks" / "unbind.yml").unlink()
    result = apb("lint", str(hello))
    assert result.exit_code == 1
    assert result.stdout == "services/hello:1: task-files: tasks/unbind.yml is missing: every mode shares it\n"
    assert result.stderr == "apb: 1 mistake in 1 service\n"
    assert json.loads(apb("lint", str(hello), "-o", "json").stdout)[0]["rule"] == "task-files"


def test_lint_succeeds_with_warnings(apb, hello: Path) -> None:
    """They are shown, and the exit code is 0."""
    path = hello / "tasks" / "unbind.yml"
    path.write_text(path.read_text() + "\n- name: Wait\n  ansible.builtin.wait_for:\n    timeout: 1\n" * 8)
    result = apb("lint", str(hello))
    assert result.exit_code == 0
    assert "module-tasks (warning): unbind has 9 module tasks" in result.stdout


def test_lint_refuses_a_folder_without_services(apb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2: nothing was checked."""
    monkeypatch.chdir(tmp_path)
    result = apb("lint")
    assert result.exit_code == 2
    assert "no service here" in result.stderr
