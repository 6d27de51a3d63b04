"""Plays on this machine of tasks that tests write down: what became of each."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ANSIBLE = [sys.executable, "-m", "ansible"]
NOT_INHERITED = ("K8S_AUTH_", "KUBECONFIG", "ANSIBLE_")
Object = dict[str, Any]


class Player:
    """Plays tasks in a directory of its own. `defaults` are the module_defaults of each play."""

    def __init__(self, directory: Path, defaults: Object, **environment: str) -> None:
        self.directory, self.defaults, self.environment = directory, defaults, environment

    def play(self, *tasks: Object, **variables: Any) -> dict[str, Object]:
        """What became of each task, by its name."""
        play = {"hosts": "localhost", "gather_facts": False, "module_defaults": self.defaults, "tasks": list(tasks)}
        report = self.playbook(json.dumps([play]), variables)
        return {each["task"]["name"]: each["hosts"]["localhost"] for each in report["plays"][0]["tasks"]}

    def playbook(self, text: str, variables: Object) -> Object:
        """The report of a playbook, which has to end well: what may fail says ignore_errors."""
        (self.directory / "play.yml").write_text(text)
        (self.directory / "variables.json").write_text(json.dumps(variables))
        done = self.run("playbook", "play.yml", "-e", "@variables.json", ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
        assert done.returncode == 0, done.stdout + done.stderr
        report: Object = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{\n") :])[0]
        return report

    def changes(self, text: str, **variables: Any) -> int:
        """How many tasks of a playbook changed something."""
        return int(self.playbook(text, variables)["stats"]["localhost"]["changed"])

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """An Ansible command in the directory."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        settings = {"HOME": str(self.directory), "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}
        settings["ANSIBLE_COLLECTIONS_PATH"] = str(Path(__file__).parents[1] / "build")
        return subprocess.run(
            [*ANSIBLE, *words],
            cwd=self.directory,
            env={**inherited, **settings, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


def task(name: str, module: str, /, *, keywords: Object | None = None, **arguments: object) -> Object:
    """A task with a module of ours that shows its differences, and may fail."""
    return {"name": name, f"apb.catalog.{module}": arguments, "diff": True, "ignore_errors": True, **(keywords or {})}


def plain(found: Object) -> Any:
    """As json's object_hook: texts that Ansible marks because they are no templates, as they are."""
    return found.get("__ansible_unsafe", found)


def written_in(document: Path) -> dict[str, str]:
    """The files that a page shows, each after a comment with its name."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", document.read_text(), re.DOTALL))


@contextlib.contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Something that goes on beside what the test does; it has to end well."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failures, failures


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Until it holds; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        time.sleep(0.05)
    return value
