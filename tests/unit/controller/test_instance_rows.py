"""ServiceInstance: the rows of the reference's tables (upstream's `controller_instance.go`), one case each, with its place."""

import pytest

from apb_controller.rules import instances
from apb_controller.rules.answers import Call
from apb_controller.rules.osb import request
from tests.unit.controller import cluster
from tests.unit.controller.cluster import (
    DELETED,
    LONG_AGO,
    LOST,
    NOW,
    TIMEOUT,
    UNREACHABLE,
    condition,
    heard,
    http,
    message,
    reasons,
    state,
)

ERROR = {"error": "Oops", "description": "told why"}
SHOWN = "Status: {}; ErrorMessage: Oops; Description: told why; ResponseError: <nil>"
AT = 'ClusterServiceClass (K8S: "c1" ExternalName: "redis") at ClusterServiceBroker "b"'
TOO_LONG = "Stopping reconciliation retries because too much time has elapsed"
SENT = {
    call: request(call, "/", may_be_async=call is not Call.LAST_OPERATION)
    for call in (Call.PROVISION, Call.UPDATE, Call.DEPROVISION, Call.LAST_OPERATION)
}


def after(call, status, answer, metadata=None, world=None):
    """The status and the step that an answer leads to."""
    thing = cluster.instance(status=status, metadata=metadata)
    step = heard(instances, thing, SENT[call], answer, world or cluster.world())
    return step.status, step


ORPHANED = ("False", "StartingInstanceOrphanMitigation")
FOR_NOW = ("False", "ProvisionCallFailed")
ADD_8 = {  # answer: Ready, Failed, deprovisionStatus, is mitigated, message
    "200": (http(200), ("True", "ProvisionedSuccessfully"), None, "Required", False, "The instance was provisioned successfully"),
    "201": (http(201), ("True", "ProvisionedSuccessfully"), None, "Required", False, "The instance was provisioned successfully"),
    "202": (
        http(202, {"operation": "op"}),
        ("False", "Provisioning"),
        None,
        "Required",
        False,
        "The instance is being provisioned asynchronously",
    ),
    "400": (
        http(400, ERROR),
        FOR_NOW,
        ("True", "ClusterServiceBrokerReturnedFailure"),
        "NotRequired",
        False,
        f"Error provisioning ServiceInstance of {AT}: {SHOWN.format(400)}",
    ),
    **{
        f"other 4xx: {status}": (
            http(status, ERROR),
            FOR_NOW,
            None,
            "NotRequired",
            False,
            f"Error provisioning ServiceInstance of {AT}: {SHOWN.format(status)}",
        )
        for status in (401, 404, 408, 409, 410, 422)
    },
    "5xx": (http(500, ERROR), ORPHANED, None, "Required", True, None),
    "malformed 201": (http(201, "<html>"), ORPHANED, None, "Required", True, None),
    "malformed 202": (http(202, {"operation": 7}), ORPHANED, None, "Required", True, None),
    "malformed 204": (http(204, ""), ORPHANED, None, "Required", True, None),
    "malformed 200": (http(200, "<html>"), FOR_NOW, None, "Required", False, None),
    "timeout": (TIMEOUT, ORPHANED, None, "Required", True, None),
    "other transport error": (
        UNREACHABLE,
        ("False", "ErrorCallingProvision"),
        None,
        "Required",
        False,
        "The provision call failed and will be retried: Error communicating with broker for provisioning: connection refused",
    ),
    "connection lost": (LOST, ("False", "ErrorCallingProvision"), None, "Required", False, None),
}


EVENTS = {  # call, operation, answer: reasons of the events
    "provision, 200": (Call.PROVISION, "Provision", http(200), ["ProvisionedSuccessfully"]),
    "provision, 202": (Call.PROVISION, "Provision", http(202), ["Provisioning"]),
    "provision, 400": (Call.PROVISION, "Provision", http(400), ["ProvisionCallFailed", "ClusterServiceBrokerReturnedFailure"]),
    "provision, 422": (Call.PROVISION, "Provision", http(422), ["ProvisionCallFailed", "RetryBackoff"]),
    "provision, 500": (Call.PROVISION, "Provision", http(500), ["ProvisionCallFailed", "StartingInstanceOrphanMitigation"]),
    "provision, timeout": (Call.PROVISION, "Provision", TIMEOUT, ["ErrorCallingProvision", "StartingInstanceOrphanMitigation"]),
    "update, 200": (Call.UPDATE, "Update", http(200), ["InstanceUpdatedSuccessfully"]),
    "update, 202": (Call.UPDATE, "Update", http(202), ["UpdatingInstance"]),
    "update, 400": (Call.UPDATE, "Update", http(400), ["UpdateInstanceCallFailed"]),
    "deprovision, 200": (Call.DEPROVISION, "Deprovision", http(200), ["DeprovisionedSuccessfully"]),
    "deprovision, 202": (Call.DEPROVISION, "Deprovision", http(202), ["Deprovisioning"]),
    "poll, failed": (
        Call.LAST_OPERATION,
        "Provision",
        state("failed"),
        ["ProvisionCallFailed", "StartingInstanceOrphanMitigation"],
    ),
    "poll, 400": (Call.LAST_OPERATION, "Update", http(400), ["ErrorPollingLastOperation"]),
    "poll, in progress": (Call.LAST_OPERATION, "Update", state("in progress"), []),
}


@pytest.mark.parametrize(("call", "operation", "answer", "told"), EVENTS.values(), ids=EVENTS)
def test_events_are_those_of_the_conditions(call, operation, answer, told):
    """§2.3, last line: one for each condition that changes; a warning, but for what succeeded or goes on."""
    metadata = DELETED if operation == "Deprovision" else None
    status, step = after(call, cluster.polled(operation) if call is Call.LAST_OPERATION else cluster.in_flight(operation), answer, metadata)
    assert reasons(step) == told
    good = ("ProvisionedSuccessfully", "Provisioning", "InstanceUpdatedSuccessfully", "UpdatingInstance", "DeprovisionedSuccessfully")
    assert [event.is_warning for event in step.events] == [reason not in (*good, "Deprovisioning") for reason in told]
    texts = {(one["reason"], one["message"]) for one in status.get("conditions", [])}
    assert all((event.reason, event.message) in texts for event in step.events if event.reason != "RetryBackoff")


@pytest.mark.parametrize(("answer", "ready", "failed", "deprovision", "is_mitigated", "text"), ADD_8.values(), ids=ADD_8)
def test_provision_answer_leads_to_its_row(answer, ready, failed, deprovision, is_mitigated, text):
    """§2.3 Add 8."""
    status, step = after(Call.PROVISION, cluster.in_flight(), answer)
    assert condition(status, "Ready") == ready
    assert condition(status, "Failed") == failed
    assert status["deprovisionStatus"] == deprovision
    assert status.get("orphanMitigationInProgress", False) is is_mitigated
    assert text is None or message(status) == text
    assert step.events[-1].is_warning is (ready[1] not in ("ProvisionedSuccessfully", "Provisioning"))


def test_provision_done_makes_what_was_asked_for_external():
    """§2.3 Add 8, 200: properties, generation, no operation any more; and what the broker tells of the way to it."""
    answer = http(201, {"dashboard_url": "https://d", "apb_connection": {"host": "h"}})
    status, _ = after(Call.PROVISION, cluster.in_flight(attempts=3, nextAttemptTime=cluster.LATELY), answer)
    assert status["externalProperties"] == cluster.properties()
    assert (status["provisionStatus"], status["reconciledGeneration"]) == ("Provisioned", 1)
    assert (status["dashboardURL"], status["connection"]) == ("https://d", {"host": "h"})
    assert not {"currentOperation", "operationStartTime", "inProgressProperties", "attempts", "nextAttemptTime"} & set(status)


def test_provision_started_is_polled():
    """§2.3 Add 8, 202: the broker's operation, and when it is asked; the start is that of the work."""
    status, _ = after(Call.PROVISION, cluster.in_flight(), http(202, {"operation": "op"}, retry_after="30"))
    assert (status["asyncOpInProgress"], status["lastOperation"]) == (True, "op")
    assert (status["operationStartTime"], status["nextAttemptTime"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:30Z")


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (http(500, ERROR), "ProvisionCallFailed", f"Error provisioning ServiceInstance of {AT}: {SHOWN.format(500)}"),
        (
            TIMEOUT,
            "ErrorCallingProvision",
            "Communication with the ClusterServiceBroker timed out; operation will be retried: no answer within 60 s",
        ),
    ],
    ids=["5xx", "timeout"],
)
def test_orphan_mitigation_keeps_the_cause(answer, reason, text):
    """§2.3 Orphan mitigation: the condition has the original reason and message, Ready says what is done now."""
    status, step = after(Call.PROVISION, cluster.in_flight(), answer)
    assert condition(status, "OrphanMitigation") == ("True", reason)
    assert message(status, "OrphanMitigation") == text
    assert message(status) == (
        "The instance provision call failed with an ambiguous error; attempting to deprovision the instance in order to mitigate an "
        "orphaned resource"
    )
    assert "operationStartTime" not in status
    assert reasons(step) == [reason, "StartingInstanceOrphanMitigation"]


@pytest.mark.parametrize(
    ("answer", "is_mitigated"),
    [(UNREACHABLE, False), (http(429), False), (http(503), True), (TIMEOUT, True)],
    ids=["transport", "4xx", "5xx", "timeout"],
)
def test_provision_is_given_up_after_seven_days(answer, is_mitigated):
    """§2.3 Add 8, last row: Failed, and what the last answer left open is removed; what went wrong last stays to be read."""
    status, step = after(Call.PROVISION, cluster.in_flight(operationStartTime=LONG_AGO), answer)
    assert condition(status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert message(status, "Failed") == TOO_LONG
    assert status.get("orphanMitigationInProgress", False) is is_mitigated
    assert TOO_LONG not in message(status, "OrphanMitigation" if is_mitigated else "Ready")
    assert reasons(step)[1] == "ErrorReconciliationRetryTimeout"


def test_provision_retry_is_told_and_kept():
    """§2.1: the event RetryBackoff; the pause is in the status, is longer each time, and not shorter than Retry-After."""
    first, step = after(Call.PROVISION, cluster.in_flight(), http(429))
    assert reasons(step)[-1] == "RetryBackoff"
    assert step.events[-1].message == "Delaying provision retry, next attempt will be after 2026-03-01T12:00:01Z"
    assert (first["attempts"], first["nextAttemptTime"]) == (1, "2026-03-01T12:00:01Z")
    sixth, _ = after(Call.PROVISION, cluster.in_flight(attempts=5), http(429))
    assert sixth["nextAttemptTime"] == "2026-03-01T12:00:32Z"
    last, _ = after(Call.PROVISION, cluster.in_flight(attempts=5000), http(429))
    assert last["nextAttemptTime"] == "2026-03-01T12:20:00Z"
    told, _ = after(Call.PROVISION, cluster.in_flight(), http(429, retry_after="90"))
    assert told["nextAttemptTime"] == "2026-03-01T12:01:30Z"


def test_refusal_after_a_lost_answer_does_not_say_that_nothing_was_made():
    """A 4xx to the second request says nothing of the first, whose answer got lost: the broker has to be asked to remove it."""
    status, _ = after(Call.PROVISION, cluster.in_flight(outcomeUncertain=True), http(409))
    assert status["deprovisionStatus"] == "Required"
    status, _ = after(Call.PROVISION, cluster.in_flight(outcomeUncertain=True), http(400))
    assert condition(status, "Failed") == ("True", "ClusterServiceBrokerReturnedFailure")
    assert status["orphanMitigationInProgress"] is True


UPDATE = {  # answer: Ready, Failed, message
    "200": (http(200), ("True", "InstanceUpdatedSuccessfully"), None, "The instance was updated successfully"),
    "202": (http(202), ("False", "UpdatingInstance"), None, "The instance is being updated asynchronously"),
    "400": (
        http(400, ERROR),
        ("False", "UpdateInstanceCallFailed"),
        ("True", "UpdateInstanceCallFailed"),
        f"ServiceBroker returned a failure for update call; update will not be retried: {SHOWN.format(400)}",
    ),
    "other HTTP": (
        http(422, ERROR),
        ("False", "UpdateInstanceCallFailed"),
        None,
        f"ServiceBroker returned a failure for update call; update will be retried: {SHOWN.format(422)}",
    ),
    "5xx": (http(500), ("False", "UpdateInstanceCallFailed"), None, None),
    "malformed": (http(201), ("False", "UpdateInstanceCallFailed"), None, None),
    "timeout": (
        TIMEOUT,
        ("False", "ErrorCallingUpdateInstance"),
        None,
        "Communication with the ServiceBroker timed out; update will be retried: no answer within 60 s",
    ),
    "transport": (
        UNREACHABLE,
        ("False", "ErrorCallingUpdateInstance"),
        None,
        "The update call failed and will be retried: Error communicating with broker for updating: connection refused",
    ),
    "connection lost": (LOST, ("False", "ErrorCallingUpdateInstance"), None, None),
}


@pytest.mark.parametrize(("answer", "ready", "failed", "text"), UPDATE.values(), ids=UPDATE)
def test_update_answer_leads_to_its_row(answer, ready, failed, text):
    """§2.3 Update; no answer to an update leads to orphan mitigation."""
    status, _ = after(Call.UPDATE, cluster.in_flight("Update"), answer)
    assert condition(status, "Ready") == ready
    assert condition(status, "Failed") == failed
    assert text is None or message(status) == text
    assert not status.get("orphanMitigationInProgress")
    assert (status["provisionStatus"], status["deprovisionStatus"]) == ("Provisioned", "Required")


def test_update_is_given_up_after_seven_days():
    """§2.3 Update: both conditions say so, an event says what went wrong last."""
    status, step = after(Call.UPDATE, cluster.in_flight("Update", operationStartTime=LONG_AGO), UNREACHABLE)
    assert condition(status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert condition(status, "Ready") == ("False", "ErrorReconciliationRetryTimeout")
    assert message(status) == message(status, "Failed") == TOO_LONG
    assert reasons(step) == ["ErrorCallingUpdateInstance", "ErrorReconciliationRetryTimeout"]


def test_update_retry_is_told():
    """§2.1: the event RetryBackoff, of updates too."""
    _, step = after(Call.UPDATE, cluster.in_flight("Update"), http(429))
    assert reasons(step) == ["UpdateInstanceCallFailed", "RetryBackoff"]
    assert step.events[-1].message == "Delaying update retry, next attempt will be after 2026-03-01T12:00:01Z"


BUSY = http(422, {"error": "ConcurrencyError", "description": "It is being changed."})


@pytest.mark.parametrize(
    ("call", "operation", "metadata"),
    [(Call.PROVISION, "Provision", None), (Call.UPDATE, "Update", None), (Call.DEPROVISION, "Deprovision", DELETED)],
    ids=["provision", "update", "deprovision"],
)
def test_busy_broker_is_asked_as_often_as_one_that_is_polled(call, operation, metadata):
    """OSB 2.17 ConcurrencyError: what it works on may be what is wanted, so its end is not waited for for twenty minutes."""
    busy, _ = after(call, cluster.in_flight(operation, attempts=30), BUSY, metadata)
    assert busy["nextAttemptTime"] == "2026-03-01T12:01:00Z"
    refused, _ = after(call, cluster.in_flight(operation, attempts=30), http(422, ERROR), metadata)
    assert refused["nextAttemptTime"] == "2026-03-01T12:20:00Z"


@pytest.mark.parametrize("answer", [http(200), http(200, "<html>"), http(410)], ids=["200", "200, whatever it says", "410"])
def test_deprovision_done_lets_the_object_go(answer):
    """§2.3 Delete: 200 and 410."""
    status, step = after(Call.DEPROVISION, cluster.in_flight("Deprovision"), answer, DELETED)
    assert condition(status, "Ready") == ("False", "DeprovisionedSuccessfully")
    assert message(status) == "The instance was deprovisioned successfully"
    assert step.metadata == {"finalizers": []}
    assert "externalProperties" not in status
    assert status["deprovisionStatus"] == "Succeeded"
    assert [event.is_warning for event in step.events] == [False]


def test_deprovision_started_is_polled():
    """§2.3 Delete: 202."""
    status, step = after(Call.DEPROVISION, cluster.in_flight("Deprovision"), http(202, {"operation": "op"}), DELETED)
    assert condition(status, "Ready") == ("False", "Deprovisioning")
    assert status["asyncOpInProgress"]
    assert step.metadata is None


ANY_ERROR = {
    "400": http(400),
    "422": http(422),
    "404": http(404),
    "500": http(500),
    "201": http(201),
    "timeout": TIMEOUT,
    "transport": UNREACHABLE,
}


@pytest.mark.parametrize("answer", ANY_ERROR.values(), ids=ANY_ERROR)
def test_deprovision_error_is_retried(answer):
    """§2.3 Delete: any error."""
    status, step = after(Call.DEPROVISION, cluster.in_flight("Deprovision"), answer, DELETED)
    assert condition(status, "Ready") == ("Unknown", "DeprovisionCallFailed")
    is_answered = answer not in (TIMEOUT, UNREACHABLE)
    beginning = "Deprovision call failed; received error response from broker: " if is_answered else f"Error deprovisioning, {AT}: "
    assert message(status).startswith(beginning)
    assert reasons(step) == ["DeprovisionCallFailed"]
    assert (status["deprovisionStatus"], status["currentOperation"], status["attempts"]) == ("Required", "Deprovision", 1)
    assert step.metadata is None


def test_deprovision_goes_on_after_seven_days():
    """§2.9 bugs 5 and 6 (upstream's #2783): it is told that it has failed, and asked for again."""
    old = cluster.in_flight("Deprovision", operationStartTime=LONG_AGO)
    status, _ = after(Call.DEPROVISION, old, http(500), DELETED)
    assert condition(status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert status["deprovisionStatus"] == "Failed"
    thing = cluster.instance(status=status, metadata=DELETED)
    assert instances.next_step(thing, cluster.later(cluster.world(), hours=1)).request.call is Call.DEPROVISION


def mitigated(**more):
    conditions = [{"type": "OrphanMitigation", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": cluster.LATELY}]
    return cluster.in_flight(
        "Deprovision",
        provisionStatus="NotProvisioned",
        orphanMitigationInProgress=True,
        conditions=conditions,
        externalProperties=None,
        **more,
    )


def test_orphan_mitigation_done_leads_to_provision_again():
    """§2.3 Orphan mitigation, success; with a pause, or both would be sent in turns as fast as the broker answers."""
    status, step = after(Call.DEPROVISION, mitigated(attempts=4), http(410))
    assert condition(status, "Ready") == ("False", "OrphanMitigationSuccessful")
    assert message(status) == "Orphan mitigation was completed successfully"
    assert condition(status, "OrphanMitigation") is None
    assert (status["deprovisionStatus"], status["orphanMitigationInProgress"]) == ("Succeeded", False)
    assert step.metadata is None
    thing = cluster.instance(status=status)
    assert instances.next_step(thing, cluster.world()).wait_seconds == 16
    again = instances.next_step(thing, cluster.later(cluster.world(), seconds=17))
    assert again.status["currentOperation"] == "Provision"


def test_orphan_mitigation_done_ends_it_when_failed():
    """§2.3 Orphan mitigation: "then Add again unless Failed"."""
    status = mitigated()
    status["conditions"].append({"type": "Failed", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": cluster.LATELY})
    status, _ = after(Call.DEPROVISION, status, http(200))
    assert instances.next_step(cluster.instance(status=status), cluster.later(cluster.world(), days=1)) == instances.Step()


def test_orphan_mitigation_error_is_retried():
    """§2.3 Orphan mitigation, failure; §2.9 bug 5: upstream is stuck then."""
    status, _ = after(Call.DEPROVISION, mitigated(), http(500, ERROR))
    assert condition(status, "Ready") == ("Unknown", "OrphanMitigationFailed")
    assert message(status).startswith("Orphan mitigation failed: ")
    again = instances.next_step(cluster.instance(status=status), cluster.later(cluster.world(), minutes=5))
    assert again.request.call is Call.DEPROVISION


NOT_POLLED = ("False", "ErrorPollingLastOperation")
POLL = {  # operation, answer: Ready, Failed, is polled on, is mitigated, message
    "in progress, provision": ("Provision", state("in progress"), None, None, True, False, None),
    "in progress with a description": (
        "Provision",
        state("in progress", "half"),
        ("False", "Provisioning"),
        None,
        True,
        False,
        "The instance is being provisioned asynchronously (half)",
    ),
    "in progress, update": (
        "Update",
        state("in progress", "half"),
        ("False", "UpdatingInstance"),
        None,
        True,
        False,
        "The instance is being updated asynchronously (half)",
    ),
    "in progress, deprovision": (
        "Deprovision",
        state("in progress", "half"),
        ("False", "Deprovisioning"),
        None,
        True,
        False,
        "The instance is being deprovisioned asynchronously (half)",
    ),
    "succeeded, provision": ("Provision", state("succeeded"), ("True", "ProvisionedSuccessfully"), None, False, False, None),
    "succeeded, update": ("Update", state("succeeded"), ("True", "InstanceUpdatedSuccessfully"), None, False, False, None),
    "succeeded, deprovision": ("Deprovision", state("succeeded"), ("False", "DeprovisionedSuccessfully"), None, False, False, None),
    "410, deprovision": ("Deprovision", http(410), ("False", "DeprovisionedSuccessfully"), None, False, False, None),
    "failed, provision": ("Provision", state("failed", "no room"), ORPHANED, ("True", "ProvisionCallFailed"), False, True, None),
    "failed, update": (
        "Update",
        state("failed", "no room"),
        ("False", "UpdateInstanceCallFailed"),
        ("True", "UpdateInstanceCallFailed"),
        False,
        False,
        "Update call failed: no room",
    ),
    "failed, deprovision": (
        "Deprovision",
        state("failed", "busy"),
        ("Unknown", "DeprovisionCallFailed"),
        None,
        False,
        False,
        "Deprovision call failed: busy",
    ),
    "400, provision": ("Provision", http(400), ORPHANED, ("True", "ErrorPollingLastOperation"), False, True, None),
    "400, update": (
        "Update",
        http(400, ERROR),
        ("False", "ErrorPollingLastOperation"),
        ("True", "ErrorPollingLastOperation"),
        False,
        False,
        f"Error polling last operation: {SHOWN.format(400)}",
    ),
    "400, deprovision: asked for again": ("Deprovision", http(400), ("Unknown", "DeprovisionCallFailed"), None, False, False, None),
    "404, provision": ("Provision", http(404), ORPHANED, ("True", "ErrorPollingLastOperation"), False, True, None),
    "404, update": ("Update", http(404), NOT_POLLED, ("True", "ErrorPollingLastOperation"), False, False, None),
    "404, deprovision: asked for again": ("Deprovision", http(404), ("Unknown", "DeprovisionCallFailed"), None, False, False, None),
    "410, provision: an invalid answer": (
        "Provision",
        http(410),
        NOT_POLLED,
        None,
        True,
        False,
        "Error polling last operation: Status: 410",
    ),
    "401": ("Provision", http(401, ERROR), NOT_POLLED, None, True, False, f"Error polling last operation: {SHOWN.format(401)}"),
    "500": ("Update", http(500), NOT_POLLED, None, True, False, None),
    "timeout": ("Deprovision", TIMEOUT, NOT_POLLED, None, True, False, "Error polling last operation: no answer within 60 s"),
    "transport": ("Provision", UNREACHABLE, NOT_POLLED, None, True, False, "Error polling last operation: connection refused"),
    "invalid state": ("Provision", state("perhaps"), NOT_POLLED, None, True, False, None),
}


@pytest.mark.parametrize(("operation", "answer", "ready", "failed", "is_polled", "is_mitigated", "text"), POLL.values(), ids=POLL)
def test_poll_answer_leads_to_its_row(operation, answer, ready, failed, is_polled, is_mitigated, text):
    """§2.3 Poll; and OSB 2.17 "Polling": any other code than 200, 400, 404 and 410 does not end it."""
    metadata = DELETED if operation == "Deprovision" else None
    status, _ = after(Call.LAST_OPERATION, cluster.polled(operation), answer, metadata)
    assert condition(status, "Ready") == ready
    assert condition(status, "Failed") == failed
    assert status["asyncOpInProgress"] is is_polled
    assert status.get("orphanMitigationInProgress", False) is is_mitigated
    assert text is None or message(status) == text


def test_poll_failure_of_provision_is_the_cause_of_the_mitigation():
    """§2.3 Poll, failed, provision."""
    status, _ = after(Call.LAST_OPERATION, cluster.polled(), state("failed", "no room"))
    assert message(status, "OrphanMitigation") == message(status, "Failed") == "Provision call failed: no room"


def test_poll_invalid_state_is_told():
    """§2.3 Poll: `Got invalid state in LastOperationResponse`."""
    _, step = after(Call.LAST_OPERATION, cluster.polled(), state("perhaps"))
    assert step.events[0].message == 'Error polling last operation: Got invalid state in LastOperationResponse: "perhaps"'


def test_poll_that_succeeds_again_says_so():
    """What could not be polled is said until it can be, also by a broker that describes nothing; a description stays till the next one."""
    lost, step = after(Call.LAST_OPERATION, cluster.polled(), UNREACHABLE)
    assert reasons(step) == ["ErrorPollingLastOperation"]
    found, _ = after(Call.LAST_OPERATION, {**lost, "attempts": 9}, state("in progress"))
    assert found["nextAttemptTime"] == "2026-03-01T12:00:01Z", "the pauses begin anew"
    assert (condition(found, "Ready"), message(found)) == (("False", "Provisioning"), "The instance is being provisioned asynchronously")
    half, _ = after(Call.LAST_OPERATION, cluster.polled(), state("in progress", "half"))
    again, _ = after(Call.LAST_OPERATION, half, state("in progress"))
    assert message(again).endswith("(half)")


def test_poll_same_description_is_told_once():
    """§2.3 Poll: an event only for news; the time of the next question is written each time."""
    first, step = after(Call.LAST_OPERATION, cluster.polled(), state("in progress", "half"))
    assert reasons(step) == ["Provisioning"]
    _, step = after(Call.LAST_OPERATION, first, state("in progress", "half"))
    assert reasons(step) == []


@pytest.mark.parametrize(
    ("attempts", "header", "seconds"),
    [
        (0, None, 1),
        (3, None, 8),
        (40, None, 60),
        (0, "7", 7),
        (40, "7", 7),
        (0, "600", 600),
        (0, "0", 1),
        (0, "Sun, 01 Mar 2026 12:00:20 GMT", 20),
    ],
)
def test_poll_comes_when_the_broker_wants_it(attempts, header, seconds):
    """Retry-After counts, which upstream ignores; without it the pause grows to a minute."""
    headers = {"retry_after": header} if header else {}
    status, _ = after(Call.LAST_OPERATION, cluster.polled(attempts=attempts), http(200, {"state": "in progress"}, **headers))
    assert (instances.next_step(cluster.instance(status=status), cluster.world())).wait_seconds == seconds


@pytest.mark.parametrize(("operation", "is_mitigated"), [("Provision", True), ("Update", False)])
def test_poll_ends_at_the_plans_maximum(operation, is_mitigated):
    """maximum_polling_duration: the operation counts as failed (OSB 2.17 "Polling"), which upstream ignores."""
    world = cluster.world(plans=[cluster.plan(maximumPollingDuration=30)])
    status, _ = after(Call.LAST_OPERATION, cluster.polled(operation), state("in progress"), world=world)
    assert condition(status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert status.get("orphanMitigationInProgress", False) is is_mitigated
    assert status["asyncOpInProgress"] is False


def test_poll_of_a_deprovision_that_takes_too_long_sends_it_again():
    """A removal goes on until it succeeds."""
    world = cluster.world(plans=[cluster.plan(maximumPollingDuration=30)])
    status, _ = after(Call.LAST_OPERATION, cluster.polled("Deprovision"), state("in progress"), DELETED, world)
    assert (status["asyncOpInProgress"], status["currentOperation"]) == (False, "Deprovision")
    thing = cluster.instance(status=status, metadata=DELETED)
    assert instances.next_step(thing, cluster.later(world, minutes=1)).request.call is Call.DEPROVISION


def test_condition_of_a_row_has_the_time_of_its_change():
    """lastTransitionTime, and the printer column."""
    status, _ = after(Call.PROVISION, cluster.in_flight(), http(200))
    assert status["conditions"][0]["lastTransitionTime"] == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert status["lastConditionState"] == "Ready"
