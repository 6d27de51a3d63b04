"""Real playbooks through ansible-runner: what they publish, why they failed, and that nothing of them is left however they end."""

import functools
import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from apb_broker import execution
from apb_broker.execution import processes

SET = {
    "name": "Publish",
    "ansible.builtin.set_stats": {"per_host": False, "aggregate": True, "data": {"apb_published": None}},
    "no_log": True,
}


@pytest.fixture(params=["warm", "cold"])
def job(request, job):
    """A job of either way to run a playbook."""
    return functools.partial(job, executor=request.param)


def publishes(**values) -> dict:
    return {**SET, "ansible.builtin.set_stats": {**SET["ansible.builtin.set_stats"], "data": {"apb_published": values}}}


def playbook_process(run) -> int:
    parents = processes.parents()
    runner = next(pid for pid, parent in parents.items() if parent == run.pid)
    return next(pid for pid, parent in parents.items() if parent == runner)


def test_playbook_tells_progress_and_merges_what_it_publishes(playbook, job, started, helpers):
    """Task names come as people read them; published values arrive although no_log hides them from output."""
    tasks = [
        {"name": "Start {{ apb_instance.name }}", "ansible.builtin.debug": {"msg": "x"}},
        {"ansible.builtin.debug": {"msg": "a task without a name of its own"}},
        publishes(credentials={"password": "{{ apb_binding.password }}"}, outputs={"a": 1}),
        publishes(outputs={"b": 2}, dashboard_url="http://x"),
    ]
    variables = {"apb_instance": {"name": "cache"}, "apb_binding": {"password": "s3cr3t-canary"}}
    *progress, outcome = helpers.messages_of(started(job(playbook(*tasks), variables=variables, secrets=("s3cr3t-canary",))))
    assert [(message.text, message.host) for message in progress] == [(text, "localhost") for text in ("Start cache", "Publish", "Publish")]
    assert outcome.published == {"credentials": {"password": "s3cr3t-canary"}, "outputs": {"a": 1, "b": 2}, "dashboard_url": "http://x"}


def test_playbook_settings_are_templates_and_variables_win(playbook, job, started, helpers):
    """An operator's settings may use Ansible's expressions; a caller's variable of the same name wins."""
    run = started(
        job(
            playbook(publishes(outputs={"a": "{{ redis_a }}", "b": "{{ apb_b }}"})),
            settings={"redis_a": "{{ 40 + 2 }}", "apb_b": "setting"},
            variables={"apb_b": "caller"},
        )
    )
    assert helpers.outcome_of(run).published["outputs"] == {"a": 42, "b": "caller"}


FAILURES = {
    "a task's message": ({"name": "Stop", "ansible.builtin.fail": {"msg": "enough"}}, "Task 'Stop' failed: enough"),
    "a loop's first failing item": (
        {"name": "Loop", "ansible.builtin.fail": {"msg": "bad {{ item }}"}, "loop": [1, 2, 3], "when": "item > 1"},
        "Task 'Loop' failed: bad 2",
    ),
    "hidden output": (
        {"name": "Hide", "ansible.builtin.fail": {"msg": "s3cr3t"}, "no_log": True},
        "Task 'Hide' failed: its output is hidden (no_log)",
    ),
    "an undefined variable": ({"name": "Use", "ansible.builtin.debug": {"msg": "{{ nope }}"}}, "'nope' is undefined"),
    "a missing role": (
        {"name": "Role", "ansible.builtin.include_role": {"name": "apb.none.such"}},
        "role 'apb.none.such' was not found",
    ),
    "an unknown module": (
        {"name": "M", "nosuchmodule": {}},
        "The playbook could not be run: couldn't resolve module/action 'nosuchmodule'",
    ),
}


@pytest.mark.parametrize("what", FAILURES)
def test_failure_is_told_in_words(what, playbook, job, started, helpers):
    """The tenant reads which task failed and why."""
    task, words = FAILURES[what]
    outcome = helpers.outcome_of(started(job(playbook(task))))
    assert (outcome.status, outcome.transient) == ("failed", False)
    assert words in outcome.message
    assert "s3cr3t" not in outcome.message


def test_failure_that_was_rescued_is_none(playbook, job, started, helpers):
    """Tasks that may fail do not make a run fail."""
    rescued = {"block": [{"name": "Inner", "ansible.builtin.fail": {"msg": "x"}}], "rescue": [{"name": "R", "ansible.builtin.debug": {}}]}
    ignored = {"name": "Ignored", "ansible.builtin.fail": {"msg": "y"}, "ignore_errors": True}
    assert helpers.outcome_of(started(job(playbook(rescued, ignored)))).status == "succeeded"


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh on this machine")
def test_unreachable_host_is_told_as_such(playbook, job, started, helpers):
    """A host that does not answer is a reason to try again."""
    inventory = {"hosts": {"far": {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}}}
    run = started(job(playbook({"name": "Reach", "ansible.builtin.ping": {}}, hosts="far"), inventory=inventory))
    outcome = helpers.outcome_of(run)
    assert (outcome.status, outcome.transient) == ("failed", True)
    assert outcome.message.startswith("Host far refuses connections: start sshd there")


def test_missing_vault_password_file_is_told_at_once(playbook, job, started, helpers, monkeypatch, tmp_path):
    """ansible-playbook ends before it has read its variables; nothing waits for that to happen."""
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "none"))
    outcome = helpers.outcome_of(started(job(playbook({"ansible.builtin.ping": {}}))), seconds=20)
    assert outcome.message.startswith(f"The vault password file {tmp_path}/none does not exist")


def test_play_without_hosts_is_no_success(playbook, job, started, helpers):
    """A playbook whose hosts do not exist has done nothing, which Ansible calls a success."""
    outcome = helpers.outcome_of(started(job(playbook(publishes(outputs={}), hosts="nobody"))))
    assert outcome.status == "failed"


def test_operators_inventory_is_used_beside_localhost(playbook, job, started, helpers, tmp_path):
    """An inventory file gives the hosts; localhost is there without being in it."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"near": {"ansible_connection": "local", "where": "file"}}}}))
    task = publishes(outputs={"where": "{{ where }}", "local": "{{ hostvars.localhost.ansible_connection }}"})
    outcome = helpers.outcome_of(started(job(playbook(task, hosts="near"), inventory_file=str(inventory))))
    assert outcome.published == {"outputs": {"where": "file", "local": "local"}}


# Templates in a tenant's values


def test_template_in_a_value_stays_text_everywhere(playbook, job, started, helpers, tmp_path):
    """Neither tasks, nor files made from them, nor keys run what a tenant writes."""
    pwned, target, source = tmp_path / "pwned", tmp_path / "target", tmp_path / "source.j2"
    evil = "{{ lookup('ansible.builtin.pipe', 'touch " + str(pwned) + "') }}{% set x = 1 %}"
    source.write_text("{{ apb_parameters.a }}|{{ apb_parameters.deep[0].b }}|{{ apb_parameters.keyed | first }}")
    tasks = [
        {"name": "Say {{ apb_parameters.a }}", "ansible.builtin.debug": {"msg": "{{ apb_parameters }} {{ apb_parameters.a }}"}},
        {"ansible.builtin.debug": {"var": "apb_parameters.keyed"}},
        {"ansible.builtin.set_fact": {"again": "{{ apb_parameters.a }}", "key": "{{ apb_parameters.keyed | first }}"}},
        {"ansible.builtin.debug": {"msg": "{{ again }} {{ key }} {{ item.key }}"}, "loop": "{{ apb_parameters.keyed | dict2items }}"},
        {"ansible.builtin.template": {"src": str(source), "dest": str(target)}},
        {"ansible.builtin.command": {"argv": ["echo", "{{ again }}", "{{ key }}"]}, "register": "said"},
        publishes(outputs={"said": "{{ said.stdout }}", "vars": "{{ via }}"}),
    ]
    variables = {"apb_parameters": {"a": evil, "deep": [{"b": evil}], "keyed": {evil: evil}}}
    book = playbook(*tasks, vars={"via": "{{ apb_parameters.a }} {{ apb_parameters.keyed | first }}"})
    outcome = helpers.outcome_of(started(job(book, variables=variables)))
    assert outcome.published == {"outputs": {"said": f"{evil} {evil}", "vars": f"{evil} {evil}"}}, outcome.message
    assert target.read_text() == f"{evil}|{evil}|{evil}"
    assert not pwned.exists()


@pytest.mark.parametrize("key", ["__ansible_unsafe", "__ansible_vault", "__ansible_type"])
def test_key_with_a_meaning_for_ansible_is_refused(key, job):
    """Such keys would send Ansible's reader down the path where every string is a template."""
    with pytest.raises(execution.JobError, match=key):
        execution.start(job(variables={"apb_parameters": {"labels": {key: "{{ 1 + 1 }}"}}}))


# However it ends, nothing is left


def test_cancel_ends_a_task_that_ignores_sigterm(playbook, job, started, helpers, marked):
    """What does not hear SIGTERM is killed when the grace time is over."""
    run = started(job(playbook(marked.python(helpers.stubborn)), cancel_grace_seconds=1.0))
    helpers.until(marked.pids)
    run.cancel()
    assert helpers.outcome_of(run).status == "canceled"
    assert marked.pids() + helpers.left_of(run.pid) == []


@pytest.mark.parametrize("flags", [(), ("empty-environment",)])
def test_daemon_of_a_task_ends_with_the_run(playbook, job, started, helpers, marked, flags):
    """A daemon that a task started lives as long as the run, also one with a session and environment of its own."""
    assert helpers.outcome_of(run := started(job(playbook(marked.daemon(*flags))))).status == "succeeded"
    assert marked.pids() + helpers.left_of(run.pid) == []


def test_daemon_ends_when_the_run_is_canceled(playbook, job, started, helpers, marked):
    """Canceled in a later task, an earlier task's daemon ends too."""
    run = started(job(playbook(marked.daemon("empty-environment"), marked.sleeps()), cancel_grace_seconds=1.0))
    helpers.until(lambda: len(marked.pids()) >= 2)
    run.cancel()
    assert helpers.outcome_of(run).status == "canceled"
    assert marked.pids() + helpers.left_of(run.pid) == []


def test_killed_playbook_is_lost(playbook, job, started, helpers, marked):
    """kill -9 of ansible-playbook: nobody knows how far it came, and its task ends with it."""
    run = started(job(playbook(marked.daemon(), marked.sleeps())))
    helpers.until(lambda: len(marked.pids()) >= 2)
    os.kill(playbook_process(run), signal.SIGKILL)
    assert helpers.outcome_of(run).status == "lost"
    assert marked.pids() + helpers.left_of(run.pid) == []


def test_killed_process_of_the_playbook_is_lost(playbook, job, started, helpers, marked):
    """kill -9 of the process that ansible-playbook made for a task."""
    run = started(job(playbook(marked.sleeps())))
    helpers.until(marked.pids)
    parents = processes.parents()
    os.kill(next(pid for pid, parent in parents.items() if parent == playbook_process(run)), signal.SIGKILL)
    assert helpers.outcome_of(run).status == "lost"
    assert marked.pids() + helpers.left_of(run.pid) == []


def test_killed_supervisor_leaves_nothing_to_its_worker(playbook, job, driven, helpers, marked):
    """kill -9 of the supervisor: the worker tells `lost` when the daemons, which have no parent left, are gone too."""
    driver = driven(job(playbook(marked.daemon("empty-environment"), marked.sleeps())))
    helpers.until(lambda: len(marked.pids()) >= 2)
    os.kill(driver.run_pid, signal.SIGKILL)
    *_, outcome, left = driver.rest()
    assert (outcome["status"], left) == ("lost", {"left": []})
    assert marked.pids() + helpers.left_of(driver.run_pid) == []


def test_killed_worker_leaves_nothing(playbook, job, driven, helpers, marked):
    """kill -9 of the worker: the supervisor ends its run, daemons included."""
    driver = driven(job(playbook(marked.daemon("empty-environment"), marked.sleeps()), cancel_grace_seconds=1.0))
    helpers.until(lambda: len(marked.pids()) >= 2)
    os.kill(driver.process.pid, signal.SIGKILL)
    helpers.until(lambda: not marked.pids() + helpers.left_of(driver.run_pid))


# Secrets


def test_secrets_are_seen_nowhere(playbook, job, started, helpers, marked, monkeypatch, tmp_path):
    """Not on a command line, in an environment or in a file while it runs, nor after it was canceled in the middle of a task."""
    canary, began = "canary-7d1f-s3cr3t", time.time()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{canary}")
    monkeypatch.setenv("APB_KEY", canary)
    task = marked.python("import time; time.sleep(600)", no_log=True)
    task["ansible.builtin.command"]["stdin"] = "{{ apb_parameters.password }} {{ redis_password }}"
    run = started(
        job(playbook(task), variables={"apb_parameters": {"password": canary}}, settings={"redis_password": canary}, secrets=(canary,))
    )
    seen = set()
    while len(marked.pids()) < 1:
        seen.update(helpers.processes_with(canary))
    seen.update(helpers.processes_with(canary))
    assert seen == set()
    [private] = Path("/dev/shm").glob(f"apb-run-{run.pid}-*")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert (private / "extravars").is_fifo()
    assert [path for path in private.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()] == []
    run.cancel()
    assert canary not in str(helpers.outcome_of(run))
    places = (tmp_path, Path("/dev/shm"), Path("/var/tmp"), Path(tempfile.gettempdir()))
    assert [path for place in places for path in files_since(place, began) if canary.encode() in read(path)] == []


def files_since(place: Path, began: float):
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder, name)
            try:
                if path.is_file() and not path.is_symlink() and path.stat().st_mtime >= began - 1 and path.stat().st_size < 10_000_000:
                    yield path
            except OSError:
                continue


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
