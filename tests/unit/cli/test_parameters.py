"""-p and --parameters-file; secrets stay off the command line."""

import json

import pytest

SECRET = "correct horse battery"


def provision(apb, *words, **more):
    return apb("provision", "redis", "redis-standard", "cache", *words, **more)


@pytest.mark.parametrize("form", ["password={}", 'password:="{}"'])
def test_parameters_refuse_a_secret_on_the_command_line(broker, apb, form):
    """The sentence names the two ways that are safe, and not the value; nothing is sent."""
    result = provision(apb, "-p", form.format(SECRET))
    assert result.exit_code == 2
    assert "--parameters-file" in result.stderr and "-p password@=FILE" in result.stderr
    assert SECRET not in result.output
    assert not broker.sent("PUT")


def test_parameters_take_a_secret_from_a_file_or_stdin(broker, apb, tmp_path):
    """Private files and stdin, without the line's end."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(SECRET + "\n")
    whole = tmp_path / "parameters.yml"
    whole.touch(mode=0o600)
    whole.write_text(f"password: {SECRET}\nmemory: 2\n")
    assert provision(apb, "-p", f"password@={file}").exit_code == 0
    assert apb("provision", "redis", "standard", "b", "-p", "password@=-", input=SECRET + "\n").exit_code == 0
    assert apb("provision", "redis", "standard", "c", "--parameters-file", str(whole), "-p", "memory=3").exit_code == 0
    assert apb("provision", "redis", "standard", "d", "--parameters-file", "-", input=json.dumps({"password": SECRET})).exit_code == 0
    sent = [body["parameters"] for _, _, body in broker.sent("PUT")]
    assert sent == [{"password": SECRET}, {"password": SECRET}, {"password": SECRET, "memory": "3"}, {"password": SECRET}]


def test_parameters_refuse_a_secret_in_a_file_of_all(broker, apb, tmp_path):
    """A file others can read holds no secret; without one in it it may be open."""
    file = tmp_path / "parameters.json"
    file.write_text(json.dumps({"password": SECRET}))
    file.chmod(0o644)
    result = provision(apb, "--parameters-file", str(file))
    assert result.exit_code == 2 and f"chmod 600 {file}" in result.stderr and SECRET not in result.output
    assert provision(apb, "-p", f"password@={file}").exit_code == 2
    assert not broker.sent("PUT")
    file.write_text('{"memory": 2}')
    assert provision(apb, "--parameters-file", str(file)).exit_code == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("memory", "-p: expected memory=text, memory:=json or memory@=FILE"),
        ("memory:=nonsense", "-p memory:= is not followed by JSON"),
        ("memory:=NaN", "-p memory:= is not followed by JSON"),
        ("memory@=/nowhere/at/all", "/nowhere/at/all cannot be read: No such file or directory"),
    ],
)
def test_parameters_say_what_is_wrong(apb, given, message):
    """Exit code 2 and a sentence."""
    result = provision(apb, "-p", given)
    assert (result.exit_code, result.stderr) == (2, f"apb: {message}\n")


def test_parameters_send_text_unless_json_is_asked_for(broker, apb):
    """`=` is text, also when it looks like something else; `:=` is JSON; values keep further signs."""
    assert provision(apb, "-p", "a=true", "-p", "b:=true", "-p", 'c:={"x": 1}', "-p", "d=e:=f").exit_code == 0
    assert broker.sent("PUT")[0][2]["parameters"] == {"a": "true", "b": True, "c": {"x": 1}, "d": "e:=f"}


def test_parameters_are_given_once(apb):
    """Neither a name nor stdin twice."""
    assert "-p memory is given twice" in provision(apb, "-p", "memory=1", "-p", "memory:=2").stderr
    assert "stdin can be read only once" in provision(apb, "-p", "a@=-", "--parameters-file", "-").stderr


def test_parameters_file_must_be_an_object(apb, tmp_path):
    """A list, or neither JSON nor YAML; the text is not repeated."""
    file = tmp_path / "parameters"
    for text in ("[1]", "{", "1: 2"):
        file.write_text(text)
        result = provision(apb, "--parameters-file", str(file))
        assert result.exit_code == 2 and result.stderr.startswith(f"apb: {file} is n")


def test_no_option_takes_a_password(apb):
    """--password does not exist: a command line is seen by everybody on the machine."""
    result = apb("instances", "--password", SECRET)
    assert result.exit_code == 2 and "No such option" in result.stderr
