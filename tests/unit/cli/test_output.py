"""What others wrote, in tables for people."""

import pytest

from apb_cli.output import Output

NAMES = "a\nb", "c\x1b[2J\x9b31m", "d\u2028e\u2029\x85\x1c\r", "f\u202e"


@pytest.mark.parametrize("cell", [*NAMES, list(NAMES), {name: name for name in NAMES}])
def test_row_is_one_line_that_steers_no_terminal(cell: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a name holds, and however lists and objects of them are shown."""
    Output().table(["NAME", "STATE"], [[cell, "ready"], ["other", "ready"]], empty="none")
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 3
    assert not set(said) & set("\x1b\x9b\x85\x1c\r\u2028\u2029\u202e")
