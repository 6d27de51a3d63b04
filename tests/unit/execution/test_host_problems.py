"""What ssh, sudo and Ansible say becomes one sentence; hosts that really say it are in tests/ssh."""

import pytest

from apb_broker.execution import host_problems


@pytest.mark.parametrize(
    ("said", "sentence", "is_transient"),
    [
        ("ssh: connect to host a port 22: No route to host", "Host h1 cannot be reached, there is no way to it", True),
        ("ssh: Could not resolve hostname a.example: Name or service not known", "no name server knows 'a.example'", True),
        ("ann@a: Permission denied (publickey).", "Host h1 refuses the login of 'ann'", True),
        ("Connection closed by 10.0.0.1 port 22", "Host h1 does not answer any more", True),
        ('Data could not be sent to remote host "h1". Make sure: sudo: unable to resolve host', "Host h1 does not answer any more", True),
        ("mkdir: cannot create directory '/x': No space left on device", "Host h1 has a full disk (mkdir", True),
        ("something\nnew", "Host h1 cannot be reached: something new", True),
        ("@@@\nREMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.", "another host key", False),
    ],
)
def test_unreachable_host_is_told_in_one_sentence(said, sentence, is_transient):
    """Also for words nobody has thought of."""
    problem = host_problems.of_unreachable("h1", {}, said)
    assert sentence in problem.sentence
    assert "\n" not in problem.sentence
    assert problem.is_transient == is_transient


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"module_stderr": "sudo: 1 incorrect password attempt"}, "refuses the become password"),
        ({"module_stdout": "sudo: sorry, you must have a tty to run sudo"}, "terminals only"),
        ({"module_stderr": "ops is not in the sudoers file."}, "become root"),
        ({"module_stderr": "/bin/sh: 1: /usr/bin/python3: not found"}, "has no Python"),
    ],
)
def test_failed_module_is_told_by_what_sudo_and_the_shell_said(result, sentence):
    """Ansible itself only says that the module's answer is not JSON; of the rest nothing is shown."""
    problem = host_problems.of_failed("h1", {**result, "rc": 1}, "Module result deserialization failed")
    assert problem is not None
    assert sentence in problem.sentence
    assert not problem.is_transient


def test_file_that_did_not_fit_is_told_as_a_full_disk():
    """Ansible tells it as a failure of the task, over several lines."""
    said = "failed to transfer file to /tmp/a /home/ops/.source:\n\ndd: error writing 'x': No space left on device\n0 bytes copied"
    problem = host_problems.of_failed("h1", {}, said)
    assert problem is not None
    assert problem.sentence.startswith("Host h1 has a full disk (failed to transfer")
    assert problem.is_transient


def test_failure_of_a_task_stays_the_tasks():
    """What is not the host's is left to the role's own words, whatever shape a result has."""
    assert host_problems.of_failed("h1", {"module_stdout": ["x"], "module_stderr": None}, "the database refuses it") is None
    assert host_problems.of_failed("h1", {}, 'ERROR: could not extend file "base/1": No space left on device') is None


def test_full_disk_of_this_machine_names_no_host():
    """`localhost` says nothing to whoever reads it elsewhere."""
    problem = host_problems.of_failed("localhost", {}, "[Errno 28] No space left on device: '/x'" + "y" * 1000)
    assert problem is not None
    assert problem.sentence.startswith("This machine has a full disk ([Errno 28]")
    assert len(problem.sentence) < 400


def test_word_for_a_missing_vault_password_file():
    """Ansible says it before any host is reached."""
    problem = host_problems.of_playbook("The playbook could not be run: The vault password file /x was not found")
    assert problem is not None
    assert "/x does not exist" in problem.sentence
    assert host_problems.of_playbook("anything else") is None
