"""Our modules run in the task's own process where that is the very place they would be sent to, and to the same end."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests import ports
from tests.integration.collection import redis_server
from tests.integration.collection.conftest import ROOT

STAYS, IS_SENT = False, True
TASKS = {
    "as it is": ({}, STAYS),
    "delegated to this machine by another name": ({"delegate_to": "near"}, STAYS),
    "told to send it": ({"vars": {"apb_in_process": "no"}}, IS_SENT),
    "with an environment": ({"environment": {"LANG": "C"}}, IS_SENT),
    "with an empty environment": ({"environment": {}}, STAYS),
    "as another user": ({"become": True, "become_user": "nobody", "become_method": "ansible.builtin.su"}, IS_SENT),
    "in the background": ({"async": 20, "poll": 1}, IS_SENT),
    "with another interpreter": ({"vars": {"ansible_python_interpreter": "/usr/bin/python3"}}, IS_SENT),
    "delegated to a host with another interpreter": ({"delegate_to": "other"}, IS_SENT),
    "delegated to a host without an interpreter": ({"delegate_to": "unknown"}, IS_SENT),
}
INVENTORY = f"""
[others]
near ansible_connection=local ansible_python_interpreter={sys.executable}
other ansible_connection=local ansible_python_interpreter=/usr/bin/python3
unknown ansible_connection=local
"""


def play(directory, tasks, *, callback, arguments=()):
    """What a play of the tasks on this machine prints."""
    (directory / "hosts").write_text(INVENTORY)
    (directory / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    environment = {**os.environ, "HOME": str(directory), "ANSIBLE_STDOUT_CALLBACK": callback, "ANSIBLE_LOCALHOST_WARNING": "false"}
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "hosts", "play.json", *arguments]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What -vvv says of each task, by its name. The module fails at once: nothing listens there."""
    module = {"apb.catalog.redis_acl_user": {"port": ports.free(), "name": "nobody", "wait_seconds": 0}, "ignore_errors": True}
    tasks = [{"name": name, **module, **keywords} for name, (keywords, _) in TASKS.items()]
    text = play(tmp_path_factory.mktemp("play"), tasks, callback="ansible.builtin.default", arguments=["-vvv"])
    return dict(re.findall(r"^TASK \[(.*?)\] \*+\n(.*?)(?=^TASK |^PLAY RECAP)", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", TASKS)
def test_module_is_sent_when_it_would_run_elsewhere_or_as_somebody_else(told, name):
    """Connection, user, environment, interpreter and the background decide; a variable can say no."""
    assert "failed" in told[name] or "FAILED" in told[name]
    assert ("Using module file" in told[name]) == TASKS[name][1], told[name]


def test_results_are_those_of_a_module_that_was_sent(tmp_path):
    """Changes, check mode with differences, refusals, arguments that are wrong, and what no_log hides: word for word."""
    with redis_server.running(redis_server.program_of("package") or redis_server.program_of("bundled")) as server:
        params = {name: value for name, value in server.params().items() if name != "login_password"}
        login = {**params, "login_password": {"__ansible_unsafe": redis_server.ADMIN_PASSWORD}}
        account = {"name": "shop", "password": "a password", "rules": ["~shop:*", "+@read"]}
        actions = {
            "would make": {"check_mode": True, "diff": True, "with": account},
            "makes": {"with": account},
            "finds": {"with": account},
            "hides": {"with": account, "no_log": True},
            "is refused": {"with": {**account, "login_password": "wrong"}},
            "is refused and hides": {"with": {**account, "login_password": "wrong"}, "no_log": True},
            "is misspelt": {"with": {**account, "nmae": "x"}},
            "lacks": {"with": {"password": "a password"}},
            "removes": {"with": {"name": "shop", "state": "absent"}},
        }
        tasks = [
            {
                "name": name,
                "apb.catalog.redis_acl_user": {**login, **action["with"]},
                "ignore_errors": True,
                **{keyword: value for keyword, value in action.items() if keyword != "with"},
            }
            for name, action in actions.items()
        ]
        here, sent = (
            results(play(tmp_path, tasks, callback="ansible.posix.json", arguments=["-e", f"apb_in_process={stays}"]))
            for stays in ("yes", "no")
        )
    assert list(here) == list(actions)
    assert here == sent
    assert [here[name]["changed"] for name in ("would make", "makes", "finds", "removes")] == [True, True, False, True]
    assert [name for name in here if here[name].get("failed")] == ["is refused", "is refused and hides", "is misspelt", "lacks"]


def results(text):
    """By the task's name; without what is of the moment."""
    tasks = json.loads(text)["plays"][0]["tasks"]
    return {task["task"]["name"]: task["hosts"]["localhost"] for task in tasks}


def test_every_module_has_an_action():
    """Of its own, or the one that keeps it here."""
    modules, actions = ({path.stem for path in (ROOT / "plugins" / kind).glob("*.py")} for kind in ("modules", "action"))
    assert modules == actions
