"""protect, unprotect, restore-instance, purge; and what deprovision and instances say of what is kept."""

import json

KEPT_UNTIL = "2026-03-08T10:00:00+00:00"
WAYS_OUT = (
    "Its server and data are kept until 2026-03-08 10:00:00: "
    "`apb restore-instance cache` brings it back, `apb purge cache` removes it for good\n"
)


def kept(broker):
    broker.add_instance(state="kept", purge_at=KEPT_UNTIL)


def test_protection_is_given_taken_back_and_shown(broker, apb):
    """Beside the state in the list, by whom in full."""
    broker.add_instance()
    assert apb("protect", "cache").stdout == "'cache' is protected from deletion\n"
    assert "ready, protected" in apb("instances").stdout
    assert "protected by" in apb("instances", "cache").stdout
    assert json.loads(apb("unprotect", "cache", "-o", "json").stdout)["protected_by"] is None
    assert apb("unprotect", "cache").stdout == "'cache' can be deleted\n"
    assert "protected" not in apb("instances").stdout


def test_deprovision_says_that_the_server_is_kept(broker, apb):
    """And the two ways out of that; for programs on stderr, and not before the removal has ended."""
    broker.add_instance()
    broker.kept_until = KEPT_UNTIL
    told = apb("deprovision", "cache", "--yes")
    assert told.stdout.endswith(WAYS_OUT)
    assert "kept until 2026-03-08 10:00:00" in apb("instances").stdout
    broker.add_instance()
    told = apb("deprovision", "cache", "--yes", "-o", "json")
    assert (json.loads(told.stdout)["kind"], told.stderr.endswith(WAYS_OUT)) == ("deprovision", True)
    broker.add_instance()
    assert "kept" not in apb("deprovision", "cache", "--yes", "--no-wait").output


def test_deprovision_of_what_is_kept_is_refused(broker, apb):
    """Its platform has deleted it already; nothing is sent."""
    kept(broker)
    refused = apb("deprovision", "cache", "--yes")
    assert (refused.exit_code, refused.stderr) == (4, f"apb: 'cache' was deleted already. {WAYS_OUT}")
    assert not broker.sent("DELETE")


def test_restore_waits_for_the_end_as_an_operator_sees_it(broker, apb):
    """No platform knows of the operation, so OSB is not asked; a failure is told with its reason."""
    kept(broker)
    told = apb("restore-instance", "cache")
    assert told.stdout.startswith("accepted: restore of 'cache' (operation op-1)\nStart the server\n")
    assert "'cache' is ready again after " in told.stdout
    assert not [path for path, _, _ in broker.sent("GET") if path.startswith("/v2")]
    kept(broker)
    assert apb("restore-instance", "cache", "--no-wait").stdout.endswith("look at it with: apb logs -f op-2\n")
    kept(broker)
    broker.outcome = ("failed", "the host is down")
    failed = apb("restore-instance", "cache")
    assert (failed.exit_code, failed.stderr) == (1, "apb: restore of 'cache' failed: the host is down\n")


def test_purge_asks_first_and_removes(broker, apb):
    """Without a terminal only with --yes."""
    kept(broker)
    refused = apb("purge", "cache")
    assert (refused.exit_code, "Give --yes" in refused.stderr, "i-1" in broker.instances) == (2, True, True)
    told = apb("purge", "cache", "--yes")
    assert told.exit_code == 0, told.output
    assert "'cache' is removed for good after " in told.stdout
    assert "i-1" not in broker.instances
