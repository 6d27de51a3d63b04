"""retry, cancel, forget, audit."""

import json


def test_retry_names_the_new_operation(broker, apb):
    """And how to follow it."""
    broker.add_operation("provision", "i-1")
    assert apb("retry", "op-1").stdout == "provision is queued (operation op-2): apb logs -f op-2\n"
    assert apb("retry", "op-1", "-o", "json").exit_code == 0


def test_cancel_tells_whether_it_is_to_be_halted(broker, apb):
    """A running one ends a little later."""
    broker.add_operation("provision", "i-1")
    assert apb("cancel", "op-1").stdout == "provision (operation op-1) is to be halted\n"


def test_forget_asks_first_and_tells_what_may_be_left(broker, apb):
    """Without a terminal only with --yes."""
    broker.add_instance()
    refused = apb("forget", "cache")
    assert (refused.exit_code, "Give --yes" in refused.stderr, "i-1" in broker.instances) == (2, True, True)
    told = apb("forget", "cache", "--yes")
    assert (told.exit_code, "i-1" in broker.instances) == (0, False)
    assert "redis-1" in told.stdout and "b1" in told.stdout
    assert apb("forget", "cache", "--yes").exit_code == 3


def test_audit_lists_who_did_what(broker, apb):
    """All, or what concerns one instance."""
    line = apb("audit", "--instance", "i-9").stdout.splitlines()[1]
    assert line.split()[-7:-1] == ["cf", "ann", "bind", "accepted", "i-9", "b-1"]
    assert json.loads(apb("audit", "-o", "json").stdout)[0]["requested_by"] == "ann"
