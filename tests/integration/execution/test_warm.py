"""The warm process: what it costs, when it is not asked, and that whatever becomes of it becomes of no run."""

import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from apb_broker import execution
from apb_broker.execution import environment, playbook_runner
from apb_broker.execution.warm import fingerprint, keeper, priming

WARMED_UP = 5
LET_GO_KB = 4_000  # what an allocator may keep or give back


@pytest.fixture
def kept(helpers):
    """The warm process of these tests, ready."""
    helpers.until(lambda: execution.keep_warm().is_ready)
    return execution.keep_warm()


@pytest.fixture
def warm_job(job, playbook):
    """A job of one task in process and one that publishes."""
    task = {"name": "Tell", "apb.catalog.publish": {"outputs": {"a": "{{ apb_instance.a }}"}}}

    def make(a: str = "1", **fields):
        return job(playbook(task), executor="warm", variables={"apb_instance": {"a": a}}, **fields)

    return make


@pytest.fixture
def scene_of_sleep(job, playbook, marked):
    """A job that does not end in a test's time."""
    return job(playbook(marked.sleeps()), executor="warm")


def outcome_of(job, helpers):
    with execution.start(job) as run:
        return run.why_cold, helpers.outcome_of(run)


# What it costs


@pytest.mark.parametrize("runs", [40, pytest.param(500, marks=pytest.mark.long)])
def test_runs_leave_no_memory_descriptor_or_file(runs, warm_job, helpers, monkeypatch, tmp_path):
    """Neither in the warm process nor in the worker, nor anywhere that runs write to; and none sees another's values."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    helpers.until(lambda: execution.keep_warm().is_ready)
    zygote = psutil.Process(execution.keep_warm().pid)
    for _ in range(WARMED_UP):
        outcome_of(warm_job(), helpers)
    before, pids = cost(zygote, home), set()
    for number in range(runs):
        with execution.start(warm_job(f"value-{number}")) as run:
            assert not run.why_cold
            assert helpers.outcome_of(run).published == {"outputs": {"a": f"value-{number}"}}
        pids.add(run.pid)
    memory, *others = cost(zygote, home)
    assert memory - before[0] < LET_GO_KB
    assert others == before[1:]
    assert [path for path in Path("/dev/shm").iterdir() if path.name.startswith(tuple(f"apb-run-{pid}-" for pid in pids))] == []


def cost(zygote, home):
    """The warm process's memory in kB; descriptors, its own and those of this process; its children; all files in the home directory."""
    files = sorted(map(str, home.rglob("*")))
    return [zygote.memory_info().rss >> 10, zygote.num_fds(), psutil.Process().num_fds(), zygote.children(), files]


def test_forks_are_not_counted_as_the_runs_own_memory(kept, job, playbook, helpers):
    """Pages that a run shares with the warm process are not what it takes: a limit that ansible-playbook alone would meet is not met."""
    waits = {"name": "Wait", "ansible.builtin.command": "sleep 1.5"}
    outcome = outcome_of(job(playbook(waits), executor="warm", limits=execution.Limits(memory_gb=0.15)), helpers)[1]
    assert (outcome.status, outcome.message) == ("succeeded", "")


# What it must be the same as


def test_installed_version_is_one_that_was_tested():
    """With another version of ansible-core all runs are cold until these tests have passed with it: then it goes into TESTED."""
    assert metadata.version("ansible-core") in priming.TESTED


def test_playbook_has_the_settings_that_were_loaded(tmp_path, monkeypatch):
    """What ansible-playbook is given in a run is what the warm process was loaded with, but for what each run has of its own."""
    monkeypatch.setattr(os, "environ", {**environment.of_run(os.environ)})
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (playbook_runner.environment_of_playbook(tmp_path / name) for name in ("a", "b"))
    assert {name for name in first if first[name] != second.get(name)} == set(priming.OF_A_RUN)


# When it is not asked


def test_run_is_cold_where_no_warm_process_is_kept(warm_job, helpers):
    """As in a process that only looks, once: it says so, and the run is as any."""
    execution.end_warm()
    assert outcome_of(warm_job(), helpers) == (keeper.NOT_KEPT, execution.Outcome("succeeded", published={"outputs": {"a": "1"}}))


def test_run_is_cold_while_it_loads(warm_job, helpers):
    """Nobody waits for it."""
    execution.end_warm()
    execution.keep_warm()
    why, outcome = outcome_of(warm_job(), helpers)
    assert (why, outcome.status) == (keeper.STARTING, "succeeded")


def test_run_is_cold_with_a_version_that_was_not_tested(warm_job, helpers, monkeypatch):
    """The reason names both versions; it is looked at again a minute later."""
    execution.end_warm()
    stood_in(monkeypatch, "from apb_broker.execution.warm import priming, zygote; priming.TESTED = ('2.18.1',); zygote.main()")
    helpers.until(lambda: "ansible-core" in execution.keep_warm().why_not)
    why, outcome = outcome_of(warm_job(), helpers)
    assert why == (
        f"there is no warm process: ansible-core {metadata.version('ansible-core')} is none of those that it was tested with (2.18.1)"
    )
    assert outcome.status == "succeeded"
    execution.end_warm()


def stood_in(monkeypatch, code):
    """Other code for the next warm process."""
    program = keeper.PROGRAM
    monkeypatch.setattr(keeper, "PROGRAM", ("-P", "-c", code))
    return program


def test_changed_environment_loads_it_anew(kept, warm_job, helpers, monkeypatch):
    """What Ansible reads at its start from the environment is loaded with it."""
    monkeypatch.setenv("ANSIBLE_TIMEOUT", "77")
    why, outcome = outcome_of(warm_job(), helpers)
    assert why.startswith("the environment of this process was changed since")
    assert outcome.status == "succeeded"
    helpers.until(lambda: execution.keep_warm().is_ready)
    assert outcome_of(warm_job(), helpers)[0] == ""


def test_changed_configuration_loads_it_anew(kept, warm_job, helpers, monkeypatch, tmp_path):
    """An ansible.cfg that is changed, or that was not there before."""
    monkeypatch.setenv("HOME", str(tmp_path))
    helpers.until(lambda: execution.keep_warm().is_ready)
    assert outcome_of(warm_job(), helpers)[0] == ""
    (tmp_path / ".ansible.cfg").write_text("[defaults]\nhash_behaviour = replace\n")
    why = helpers.until(lambda: outcome_of(warm_job(), helpers)[0])
    assert why.startswith(f"{tmp_path}/.ansible.cfg was changed since")


def test_changed_code_loads_it_anew_and_a_changed_role_does_not(kept, job, playbook, helpers, monkeypatch, tmp_path):
    """Plugins that are loaded already are watched; roles are read by each run."""
    collection = tmp_path / "collections" / "ansible_collections" / "some" / "where"
    role = collection / "roles" / "told" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    task = "- {name: Tell, apb.catalog.publish: {outputs: {a: %s}}}\n"
    role.write_text(task % "first")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", f"{tmp_path}/collections:{os.environ.get('ANSIBLE_COLLECTIONS_PATH', '')}")
    helpers.until(lambda: execution.keep_warm().is_ready)
    included = job(playbook({"ansible.builtin.include_role": {"name": "some.where.told"}}), executor="warm")
    assert outcome_of(included, helpers)[1].published == {"outputs": {"a": "first"}}
    role.write_text(task % "second")
    assert outcome_of(included, helpers) == ("", execution.Outcome("succeeded", published={"outputs": {"a": "second"}}))
    (tmp_path / "collections" / "ansible_collections" / "another").mkdir()  # it might hold an apb.catalog that comes first
    why = helpers.until(lambda: outcome_of(included, helpers)[0])
    assert "ansible_collections was changed since" in why


def test_watched_file_that_was_changed_while_it_was_read_counts_as_changed(tmp_path):
    """In which state it was read nobody knows."""
    (tmp_path / "a").touch()
    changed = (tmp_path / "a").stat().st_ctime
    assert fingerprint.Watched([str(tmp_path / "a")], since=changed - 1).changed() == str(tmp_path / "a")
    assert fingerprint.Watched([str(tmp_path / "a")], since=changed + 1).changed() is None


def test_watched_file_that_gets_another_name_has_not_changed(tmp_path, monkeypatch):
    """Installers share files of several environments by hard links."""
    monkeypatch.setattr(fingerprint, "LOOK_SECONDS", 0.0)
    (tmp_path / "a").write_text("a")
    watched = fingerprint.Watched([str(tmp_path / "a")], since=time.time() + 1)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert watched.changed() is None
    (tmp_path / "c").write_text("a")
    (tmp_path / "c").replace(tmp_path / "a")
    assert watched.changed() == str(tmp_path / "a")


def test_warm_process_is_not_ready_before_what_it_loaded_is_what_lies_there(helpers, monkeypatch):
    """Something was installed while it loaded: it is started again, after a pause."""
    execution.end_warm()
    with monkeypatch.context() as patched:
        stood_in(patched, "from apb_broker.execution.warm import zygote; zygote.time.time = lambda: 0.0; zygote.main()")
        helpers.until(lambda: execution.keep_warm().why_not.endswith("was changed while it loaded"))
        assert not execution.keep_warm().is_ready
    helpers.until(lambda: execution.keep_warm().is_ready)


COMPILED = """
from apb_broker.execution.warm import priming

priming.load()
import jinja2
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

def fail(*_):
    raise jinja2.TemplateError("is parsed")

def rendered(text):
    try:
        return Templar(loader=DataLoader(), variables={"apb_binding": {"username": "u"}}).template(trust_as_template(text))
    except Exception as error:
        return str(error)

jinja2.Environment._parse = fail
print(rendered("{{ apb_binding.username }}"), "|", rendered("{{ apb_binding.username ~ 1 }}"))
"""


def test_templates_of_our_roles_are_compiled_before_any_run():
    """A fork has the code of what stands in a role; any other text is compiled."""
    known, other = subprocess.check_output([sys.executable, "-P", "-c", COMPILED], text=True, env=environment.of_run(os.environ)).split("|")
    assert known.strip() == "u"
    assert "is parsed" in other


# What becomes of it


def test_killed_warm_process_takes_no_run_with_it_and_is_started_again(kept, scene_of_sleep, started, helpers, marked):
    """kill -9: a run that it has begun goes on and is ended by whoever ends it; the next is cold, those after it are warm again."""
    run = started(scene_of_sleep)
    helpers.until(marked.pids)
    pid = kept.pid
    os.kill(pid, signal.SIGKILL)
    helpers.until(lambda: execution.keep_warm().pid != pid)
    assert run.read() == [] or not any(isinstance(message, execution.Outcome) for message in run.read())
    run.cancel()
    assert helpers.outcome_of(run).status == "canceled"
    assert marked.pids() + helpers.left_of(run.pid) == []
    helpers.until(lambda: execution.keep_warm().is_ready)


def test_stopped_warm_process_is_given_up(kept, warm_job, helpers, monkeypatch):
    """SIGSTOP: it is asked, waited for no longer than a little while, and killed; the run is cold."""
    monkeypatch.setattr(keeper, "ANSWER_SECONDS", 0.3)
    pid = kept.pid
    os.kill(pid, signal.SIGSTOP)
    why, outcome = outcome_of(warm_job(), helpers)
    assert (why, outcome.status) == ("there is no warm process: it did not answer within 0.3 s", "succeeded")
    assert helpers.has_ended(pid)
    helpers.until(lambda: execution.keep_warm().is_ready)
    assert outcome_of(warm_job(), helpers)[0] == ""


def test_warm_process_ends_with_its_worker(scene_of_sleep, driven, helpers, marked):
    """kill -9 of the worker: neither it nor a run that it has begun is left, also when it was stopped."""
    driver = driven(scene_of_sleep)
    helpers.until(marked.pids)
    (zygote,) = [each for each in psutil.Process(driver.process.pid).children() if "apb_broker.execution.warm.zygote" in each.cmdline()]
    zygote.suspend()
    os.kill(driver.process.pid, signal.SIGKILL)
    helpers.until(lambda: helpers.has_ended(zygote.pid))
    helpers.until(lambda: not marked.pids() + helpers.left_of(driver.run_pid))


def test_forks_are_known_by_their_command_lines(kept, scene_of_sleep, started, helpers, marked):
    """As executed programs are: supervisor, ansible-playbook with its arguments, and the run's directory in their environment."""
    run = started(scene_of_sleep)
    helpers.until(marked.pids)
    runner = psutil.Process(run.pid).children()[0]
    (playbook,) = runner.children()
    assert psutil.Process(run.pid).cmdline()[1:4] == ["-P", "-m", "apb_broker.execution.supervisor"]
    assert Path(playbook.cmdline()[1]).name == "ansible-playbook"
    assert f"apb-run-{run.pid}-".encode() in Path(f"/proc/{playbook.pid}/environ").read_bytes()
