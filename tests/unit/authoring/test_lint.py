"""`apb lint`: a good service has nothing to be said of it, and each of many broken ones exactly one line."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from apb_broker.authoring import lint, role, scaffold

ROOT = Path(__file__).parents[3]
SECRET = "{{ apb_instance.secrets.admin }}"


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `apb init hello` makes."""
    monkeypatch.chdir(tmp_path)
    return scaffold.make("hello", services_path=tmp_path).role


def said(*paths: Path) -> list[str]:
    return [str(line) for line in lint.check(role.find(list(paths)))]


def test_new_service_has_nothing_to_be_said_of_it(hello: Path) -> None:
    """What `apb init` writes keeps every rule."""
    assert said(hello) == []


def test_shipped_services_keep_every_rule() -> None:
    """The roles of this repository are what others copy."""
    assert said(ROOT) == []


class Broken(NamedTuple):
    """One change of the good service, and the rest of the one line that is said of it."""

    file: str
    old: str | None  # None: the whole file
    new: str | None  # None: there is no such file any more
    said: str
    at: str | None = None  # what stands on the line that is named; None: the first line
    where: str | None = None  # the file that is named, when it is another one


def task(text: str) -> str:
    """A task that is added to those of tasks/host/instance.yml, which begin with this comment."""
    return f"{text}\n\n# A restored"


BROKEN = {
    "no description": Broken(
        "meta/service.yml",
        None,
        None,
        "service-description: meta/service.yml is missing: describe the service in it (`apb init` writes one)",
        where="",
    ),
    "not yaml": Broken(
        "meta/service.yml",
        "category: other",
        "category: [other",
        "service-description: it is not valid YAML: line 6, column 5: expected ',' or ']', but got ':'",
        at="type: hello",
    ),
    "unknown key": Broken(
        "meta/service.yml",
        "category: other",
        "category: other\nbindable: true",
        "service-description: bindable: is unknown; did you mean 'bind'?",
        at="bindable",
    ),
    "plan wider than the service": Broken(
        "meta/service.yml",
        "{maxLength: 20}",
        "{maxLength: 300}",
        "service-description: plans[0].parameters.greeting.maxLength: 300 is above the service's 200; a plan may only narrow",
        at="maxLength: 300",
    ),
    "example out of limits": Broken(
        "meta/service.yml",
        "{greeting: good morning}",
        "{greeting: good morning to everybody}",
        "service-description: examples[0]: parameter 'greeting': \"good morning to everybody\" is longer than 20 characters",
        at="- name: small",
    ),
    "no english text": Broken(
        "meta/service.yml",
        "    title: Greeting",
        "    title: {zh: 问候}",
        "service-description: parameters.greeting.title.en: is missing",
        at="title: {zh",
    ),
    "parameter without description": Broken(
        "meta/service.yml",
        "    description: What everybody is greeted with\n",
        "",
        "parameter-description: parameters.greeting has no description: say what it does, and what of it costs",
        at="  greeting:",
    ),
    "plan without example": Broken(
        "meta/service.yml",
        "  - name: large\n    plan: hello-large\n",
        "",
        "examples: plan hello-large has no example: add one to `examples`",
        at="- name: hello-large",
    ),
    "no example of a binding": Broken(
        "meta/service.yml",
        "    bind: {}\n    update",
        "    update",
        "examples: no example has `bind`: say in one how it is bound (`bind: {}` for no parameters)",
        at="examples:",
    ),
    "late field nobody publishes": Broken(
        "meta/service.yml",
        "connection:\n",
        "connection:\n  late: [ipv4]\n",
        "late-fields: connection.late names ipv4, which no task publishes: publish it by apb.catalog.publish, or take it off the list",
        at="late:",
    ),
    "published field that is not late": Broken(
        "tasks/bind.yml",
        "    credentials:\n",
        "    connection: {ipv4: 192.0.2.1}\n    credentials:\n",
        "late-fields: publishes connection.ipv4, which service.yml does not name: add it to connection.late, or do not publish it",
        at="connection:",
    ),
    "credentials lack a field": Broken(
        "tasks/bind.yml",
        '      host: "{{ apb_instance.host }}"\n',
        "",
        "published-credentials: credentials.host is required by service.yml and not published: add it, or take it off `required`",
        at="apb.catalog.publish:",
    ),
    "credentials with an unknown field": Broken(
        "tasks/bind.yml",
        "      type: hello\n",
        "      type: hello\n      port: 1\n",
        "published-credentials: credentials.port is not in service.yml: add it to `credentials.properties`, or do not publish it",
        at="apb.catalog.publish:",
    ),
    "no task file of an action": Broken(
        "tasks/host/update.yml", None, None, "task-files: tasks/host/update.yml is missing: every plan of this tenancy needs it", where=""
    ),
    "no unbind": Broken("tasks/unbind.yml", None, None, "task-files: tasks/unbind.yml is missing: every mode shares it", where=""),
    "no client": Broken(
        "tests/client.py",
        None,
        None,
        "client: tests/client.py is missing: a program that reads credentials on stdin and exits 0 (they work) or 3 (refused)",
        where="",
    ),
    "client that is not python": Broken(
        "tests/client.py", "def main() -> int:", "def main() -> int", "client: is not Python: expected ':'; correct it", at="def main()"
    ),
    "task file that is not yaml": Broken(
        "tasks/verify.yml",
        "  check_mode: true",
        "  check_mode: }",
        "readable-files: expected the node content, but found '}': correct it",
        at="  check_mode",
    ),
    "include of nothing": Broken(
        "tasks/host/update.yml",
        "host/instance.yml",
        "host/server.yml",
        "included-files: includes host/server.yml, which does not exist: correct the name, or write it",
        at="include_tasks",
    ),
    "role that is not installed": Broken(
        "tasks/host/instance.yml",
        "# A restored",
        task("- name: Include it\n  ansible.builtin.include_role:\n    name: other.services.nothing"),
        "included-files: includes role other.services.nothing, which is not installed here: correct the name, or install its collection",
        at="  ansible.builtin.include_role:\n    name: other",
    ),
    "template that does not exist": Broken(
        "tasks/host/instance.yml",
        "# A restored",
        task("- name: Configure it\n  ansible.builtin.template:\n    src: hello.conf.j2\n    dest: /etc/hello\n    mode: '0600'"),
        "included-files: sends templates/hello.conf.j2, which does not exist: correct the name, or write it",
        at="ansible.builtin.template",
    ),
    "default of another name": Broken(
        "vars/main.yml",
        None,
        "---\nhello_home: /tmp\n_hello_home: /tmp\n_hello_greeting: hello\n",
        "constants-names: hello_home does not begin with _hello_: other roles in the same play see it too; rename it",
        at="hello_home",
    ),
    "setting of another name": Broken(
        "defaults/main.yml",
        "hello_ending:",
        'ending: "!"\nhello_ending:',
        "defaults-names: ending does not begin with hello_: operators find a role's settings by this prefix; rename it",
        at='ending: "!"',
    ),
    "setting that is not documented": Broken(
        "defaults/main.yml",
        "hello_ending:",
        "hello_beginning: ''\nhello_ending:",
        "documented-defaults: hello_beginning is not in meta/argument_specs.yml: describe it under argument_specs.main.options",
        at="hello_beginning",
    ),
    "register of another name": Broken(
        "tasks/verify.yml",
        "register: __hello_file\n  failed_when: __hello_file is failed or __hello_file is changed",
        "register: file\n  failed_when: file is failed or file is changed",
        "registers-names: file does not begin with __hello_: other roles in the same play see it too; rename it",
        at="register",
    ),
    "variable of a task of another name": Broken(
        "tasks/unbind.yml",
        "- name: Remove the account\n",
        "- name: Remove the account\n  vars:\n    name: x\n",
        "registers-names: variable name does not begin with __hello_: rename it",
        at="    name: x",
    ),
    "contract's variable": Broken(
        "vars/main.yml",
        "_hello_home:",
        "apb_home: /tmp\n_hello_home:",
        "contract-variables: apb_home is set here, but apb_* belongs to the contract: call it __hello_home",
        at="apb_home",
    ),
    "short name of a module": Broken(
        "tasks/unbind.yml",
        "ansible.builtin.file:",
        "file:",
        "full-module-names: file is not a full name: write ansible.builtin.file, if that is meant",
        at="  file:",
    ),
    "installation": Broken(
        "tasks/host/instance.yml",
        "# A restored",
        task("- name: Install it\n  ansible.builtin.apt:\n    name: hello"),
        "no-installation: apt installs something in an action: move it to tasks/host/prepare.yml",
        at="ansible.builtin.apt",
    ),
    "installation by a command": Broken(
        "tasks/bind.yml",
        "- name: Hand over",
        "- name: Install it\n  ansible.builtin.command:\n    argv: [/usr/bin/python3, -m, pip, install, hello]\n\n- name: Hand over",
        "no-installation: pip installs something in an action: move it to tasks/host/prepare.yml",
        at="ansible.builtin.command",
    ),
    "start of a service": Broken(
        "tasks/host/instance.yml",
        "# A restored",
        task("- name: Start it\n  ansible.builtin.systemd_service:\n    name: hello\n    state: started"),
        "no-start: systemd_service starts something that would end with the run: include start.yml of role apb.catalog.host_instance",
        at="ansible.builtin.systemd_service",
    ),
    "start in the background": Broken(
        "tasks/host/instance.yml",
        "- name: Write the greeting\n",
        "- name: Write the greeting\n  async: 60\n",
        "no-start: async leaves something running that would end with the run: let the task wait, or start a server by host_instance",
        at="async",
    ),
    "no fence": Broken(
        "tasks/host/deprovision.yml",
        "  ansible.builtin.include_role:\n    name: apb.catalog.host_instance\n    tasks_from: absent.yml",
        '  ansible.builtin.file:\n    path: "{{ _hello_home }}"\n    state: absent',
        "fence-first: begins with ansible.builtin.file, so a run that was given up could still do harm: "
        "first include absent.yml of role host_instance",
    ),
    "facts": Broken(
        "tasks/verify.yml",
        "- name: Compare",
        "- name: Gather\n  ansible.builtin.setup:\n\n- name: Compare",
        "no-facts: gathers facts, which costs a second or more: use what the contract gives, or one module that looks at one thing",
        at="ansible.builtin.setup",
    ),
    "password that is made up": Broken(
        "tasks/bind.yml",
        'path: "{{ _hello_home }}"',
        "path: \"{{ lookup('ansible.builtin.password', '/dev/null') }}\"",
        "nothing-made-up: 'password' makes a value up, a second run another one: "
        "use apb_instance.names, apb_instance.secrets or apb_binding",
        at="- name: Hand over",
    ),
    "secret on a command line": Broken(
        "tasks/bind.yml",
        "- name: Hand over",
        '- name: Tell it\n  ansible.builtin.command:\n    argv: [hello, "{{ apb_binding.password }}"]\n  no_log: true\n\n- name: Hand over',
        "secrets-on-command-lines: a secret stands on a command line, which everybody on the host can read: give it by stdin or a file",
        at="ansible.builtin.command",
    ),
    "secret in the environment": Broken(
        "tasks/host/instance.yml",
        "- name: Write the greeting\n",
        f'- name: Write the greeting\n  environment: {{HELLO: "{SECRET}"}}\n',
        "secrets-on-command-lines: a secret stands in the environment, which every process of the run gets: "
        "give it by stdin, a file or a module's argument",
        at="environment",
    ),
    "secret in a file without no_log": Broken(
        "tasks/host/instance.yml",
        'content: "{{ _hello_greeting }}"',
        f'content: "{SECRET}"',
        "shown-secrets: ansible.builtin.copy is given a secret and would show it: add no_log: true",
        at="ansible.builtin.copy",
    ),
    "secret by way of a variable": Broken(
        "tasks/host/instance.yml",
        '- name: Write the greeting\n  ansible.builtin.copy:\n    content: "{{ _hello_greeting }}"',
        f'- name: Write the greeting\n  vars: {{_hello_word: "{SECRET}"}}\n  ansible.builtin.copy:\n    content: "{{{{ _hello_word }}}}"',
        "shown-secrets: ansible.builtin.copy is given a secret and would show it: add no_log: true",
        at="ansible.builtin.copy",
    ),
    "secret in a loop": Broken(
        "tasks/host/instance.yml",
        '  loop: "{{ apb_bindings | default([]) }}"\n  no_log: true',
        '  loop: "{{ apb_bindings | default([]) }}"',
        "shown-secrets: loops over secrets, and what is looped over is shown: add no_log: true, or loop over names",
        at="- name: Write every account",
    ),
    "secret in a task's name": Broken(
        "tasks/unbind.yml",
        "- name: Remove the account",
        "- name: Remove the account of {{ apb_server.password }}",
        "shown-secrets: a secret stands in the task's name, which tenants see: take it out",
        at="- name",
    ),
    "credentials without no_log": Broken(
        "tasks/bind.yml",
        'password: "{{ apb_binding.password }}"\n  no_log: true',
        'password: "{{ apb_binding.password }}"',
        "shown-secrets: apb.catalog.publish is given a secret and would show it: add no_log: true",
        at="apb.catalog.publish",
    ),
    "many tasks": Broken(
        "tasks/unbind.yml",
        "---\n",
        "---\n" + "- name: Wait\n  ansible.builtin.wait_for:\n    timeout: 1\n\n" * 8,
        "module-tasks (warning): unbind has 9 module tasks, 8 are a good limit: write one module for what belongs together",
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_broken_service_is_told_in_one_line(hello: Path, case: Broken) -> None:
    """File, line, rule, and a sentence with the cure; nothing else is said."""
    path = hello / case.file
    if case.new is None:
        path.unlink()
    else:
        text = path.read_text()
        assert case.old is None or text.count(case.old) == 1, f"{case.old!r} is there {text.count(case.old or '')} times"
        path.write_text(case.new if case.old is None else text.replace(case.old, case.new))
    named = case.file if case.where is None else case.where
    before = (hello / named).read_text().partition(case.at)[0] if case.at else ""
    place = os.path.normpath(Path("hello") / named)
    assert said(hello) == [f"{place}:{before.count(chr(10)) + 1}: {case.said}"]


def test_modes_of_plans_need_their_folders(hello: Path) -> None:
    """Plans with tenancy shared ask for tasks/shared."""
    description = hello / "meta/service.yml"
    description.write_text(description.read_text().replace("tenancy: dedicated", "tenancy: shared"))
    missing = [line.partition("task-files: ")[2].partition(" is")[0] for line in said(hello)]
    assert missing == ["tasks/shared/deprovision.yml", "tasks/shared/provision.yml", "tasks/shared/update.yml"]


def test_two_services_cannot_have_the_same_ids(hello: Path) -> None:
    """A role that was copied keeps the ids of the first: each is told once, with the place of the other."""
    shutil.copytree(hello, hello.parent / "copy" / "hello")
    lines = [line for line in said(hello, hello.parent / "copy") if ": unique-ids: " in line]
    assert [line.partition(":")[0] for line in lines] == ["copy/hello/meta/service.yml"] * 4
    assert lines[0].endswith("name hello is that of hello/meta/service.yml:3 too: choose another one")


def test_collection_is_looked_at_from_within(hello: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without paths, the role or collection around the working directory is meant; else the folder of roles that it is."""
    for here in (hello, hello / "tasks" / "host", hello.parent):
        monkeypatch.chdir(here)
        assert [found.directory for found in role.find([])] == [hello]
    monkeypatch.chdir(ROOT / "docs")
    assert ROOT / "roles" / "redis" in [found.directory for found in role.find([])]


def test_folder_without_services_is_refused(tmp_path: Path) -> None:
    """Nothing is checked is not the same as nothing is wrong."""
    with pytest.raises(role.NothingFound, match=r"no service here: name a role with meta/service\.yml"):
        role.find([tmp_path])


def test_warnings_do_not_hide_errors_and_documents_say_all(hello: Path) -> None:
    """For programs: path, line, rule, severity, message."""
    (hello / "tests/client.py").unlink()
    (line,) = lint.check(role.find([hello]))
    assert line.document() == {
        "path": "hello",
        "line": 1,
        "rule": "client",
        "severity": "error",
        "message": "tests/client.py is missing: a program that reads credentials on stdin and exits 0 (they work) or 3 (refused)",
    }
