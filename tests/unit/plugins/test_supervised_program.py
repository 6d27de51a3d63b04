"""A program's section of supervisord's configuration, read back by supervisor's own parser."""

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import supervised_program
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError
from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import UnhosedConfigParser


def params(**given):
    return {
        "directory": "/d/supervisor",
        "name": "redis-1",
        "command": ["/bin/echo", "a b", "100%", "it's"],
        "environment": {},
        "working_directory": "/d/instances/redis-1",
        "user": "apb-redis-1",
        "stop_seconds": 60,
        **given,
    }


def read(text):
    parser = UnhosedConfigParser()
    parser.read_string(text)
    parser.expansions = {}
    return {name: parser.saneget("program:redis-1", name) for name in parser.options("program:redis-1")}


def test_section_gives_the_command_as_it_was():
    """Blanks, quotes and percent signs of arguments survive supervisord's and the shell's reading."""
    import shlex

    words = shlex.split(read(supervised_program.section(params()))["command"])
    assert words[words.index("sh") + 1 :] == ["/bin/echo", "a b", "100%", "it's"]
    assert words[1:4] == ["--pdeathsig", "TERM", "--"]


def test_section_gives_the_environment_as_it_was():
    """Commas, blanks and percent signs are data."""
    text = supervised_program.section(params(environment={"A": "1,2 =%", "B": "x"}))
    assert dict_of_key_value_pairs(read(text)["environment"]) == {"A": "1,2 =%", "B": "x"}


@pytest.mark.parametrize("word", ["a\nuser = root", "x ;y", "x #y", "x\ty\x00"])
def test_section_refuses_what_the_file_cannot_express(word):
    """Better no server than one that runs by half a command."""
    with pytest.raises(HostError, match="cannot hold"):
        supervised_program.section(params(command=["/bin/echo", word]))


@pytest.mark.parametrize("environment", [{"A-B": "x"}, {"A": 'x"'}, {"A": "\\"}])
def test_section_refuses_special_environment_variables(environment):
    """supervisord would read them as something else."""
    with pytest.raises(HostError, match="special characters"):
        supervised_program.section(params(environment=environment))


def test_program_that_is_not_there_is_named():
    """The sentence names what is missing."""
    with pytest.raises(HostError, match="no-such-program was not found"):
        supervised_program.section(params(command=["no-such-program"]))


def test_host_without_supervisord_is_told_what_to_run(tmp_path):
    """An action never starts a supervisor: it would end with the run."""
    with pytest.raises(HostError, match=r"run the playbook apb\.catalog\.prepare_host"):
        supervised_program.work({**params(directory=str(tmp_path)), "state": "present"}, False)


def test_program_is_absent_without_supervisord(tmp_path):
    """Without supervisord no program runs; its file goes, so that it does not come back."""
    (tmp_path / "conf.d").mkdir()
    file = tmp_path / "conf.d" / "redis-1.conf"
    file.write_text("[program:redis-1]\n")
    absent = {**params(directory=str(tmp_path)), "state": "absent"}
    assert supervised_program.work(absent, True)["changed"] and file.exists()
    assert supervised_program.work(absent, False)["changed"] and not file.exists()
    assert not supervised_program.work(absent, False)["changed"]
