"""operations, logs."""

import json
import uuid


def test_operations_lists_newest_first(broker, apb):
    """A table, or the list."""
    broker.add_instance()
    broker.add_operation("provision", "i-1")
    lines = apb("operations", "--instance", "cache").stdout.splitlines()
    assert lines[1].split()[:4] == ["op-1", "provision", "cache", "succeeded"]
    assert "2.5 s" in lines[1]
    assert json.loads(apb("operations", "-o", "json").stdout)[0]["id"] == "op-1"


def test_operations_finds_those_of_a_removed_instance_by_id(broker, apb):
    """Operations outlive their instance."""
    gone = str(uuid.uuid4())
    broker.add_operation("deprovision", gone)
    assert "deprovision" in apb("operations", "--instance", gone).stdout
    assert apb("operations", "--instance", "gone").exit_code == 3


def test_logs_shows_the_lines_of_an_operation_or_of_the_last_one(broker, apb):
    """By the operation's id, or by the instance's name; the error comes last."""
    broker.add_instance()
    broker.outcome = ("failed", "no room")
    broker.lines = ["Start the server"]
    broker.add_operation("provision", "i-1")
    for subject in ("op-1", "cache"):
        result = apb("logs", subject)
        assert result.exit_code == 0
        assert [line.split("  ")[1] for line in result.stdout.splitlines()[:1]] == ["Start the server"]
        assert result.stdout.endswith("failed: no room\n")
    assert json.loads(apb("logs", "cache", "-o", "json").stdout)["lines"][0]["text"] == "Start the server"
    assert apb("logs", "nothing").exit_code == 3


def test_logs_follows_to_the_end(broker, apb):
    """Each line once, in order; the exit code tells how it ended."""
    broker.add_operation("provision", "i-1")
    result = apb("logs", "-f", "op-1")
    assert result.stdout.splitlines() == ["Start the server", "Publish the result", "provision of 'i-1' succeeded"]
    broker.outcome = ("failed", "no room")
    broker.add_operation("update", "i-1")
    result = apb("logs", "-f", "op-2", "-o", "json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("apb: update of 'i-1' failed: no room\n")
