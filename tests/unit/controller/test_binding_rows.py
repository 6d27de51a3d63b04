"""ServiceBinding: the rows of the reference's state machine (§2.4; upstream's `controller_binding.go`), one case each, with its place."""

import base64

import pytest

from apb_controller.rules import bindings, names
from apb_controller.rules.answers import Call
from apb_controller.rules.osb import request
from apb_controller.rules.steps import NOTHING, Deletion
from tests.unit.controller import cluster
from tests.unit.controller.cluster import (
    DELETED,
    LONG_AGO,
    LOST,
    TIMEOUT,
    UNREACHABLE,
    binding_status,
    binding_world,
    condition,
    heard,
    http,
    message,
    reasons,
    state,
    written,
)

SENT = {call: request(call, "/", may_be_async=True) for call in (Call.BIND, Call.UNBIND, Call.LAST_OPERATION, Call.GET_BINDING)}
CREDENTIALS = {"credentials": {"host": "h", "port": 6379}}
OWNED = {"metadata": {"name": "k", "uid": "uid-s", "ownerReferences": [{"kind": "ServiceBinding", "uid": "uid-k", "controller": True}]}}
FOREIGN = {
    "metadata": {"name": "k", "uid": "uid-s", "ownerReferences": [{"kind": "Deployment", "name": "d", "uid": "x", "controller": True}]}
}


def after(call, status, answer, metadata=None, world=None, **spec):
    return heard(bindings, cluster.binding(status=status, metadata=metadata, **spec), SENT[call], answer, world or binding_world())


def step(status=None, world=None, metadata=None, **spec):
    return bindings.next_step(cluster.binding(status=status, metadata=metadata, **spec), world or binding_world())


def decoded(secret):
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_new_binding_is_adopted_in_one_write():
    """§1.6, §1.7: finalizer, id, and the Secret's name."""
    thing = {"metadata": {"name": "k", "namespace": "ns", "uid": "uid-k", "generation": 1}, "spec": {"instanceRef": {"name": "i"}}}
    found = bindings.next_step(thing, binding_world())
    assert found.metadata == {"finalizers": [names.FINALIZER]}
    assert found.spec == {"externalID": "new-id", "secretName": "k"}


@pytest.mark.parametrize("status", [{"reconciledGeneration": 1}, {"conditions": [{"type": "Failed", "status": "True", "reason": "r"}]}])
def test_processed_binding_is_left_alone(status):
    """§2.4 Add: Failed, or reconciledGeneration==generation."""
    assert step(status) == NOTHING


BUSY = {**cluster.provisioned(), "asyncOpInProgress": True}
UNREADY = cluster.provisioned(conditions=[])
BLOCKED = {  # world: reason, message, is it for good, spec
    "instance": ({"instance": None}, "ReferencesNonexistentInstance", 'References a non-existent ServiceInstance "ns/i"', False),
    "refs": (
        {"instance": cluster.instance(status=cluster.provisioned(), clusterServicePlanRef=None)},
        "ErrorInstanceRefsUnresolved",
        'Binding cannot begin because ClusterServiceClass and ClusterServicePlan references for ServiceInstance "ns/i" have not been '
        "resolved yet",
        False,
    ),
    "class": (
        {"classes": []},
        "ReferencesNonexistentServiceClass",
        'References a non-existent ClusterServiceClass (K8S: "c1")',
        False,
    ),
    "plan": ({"plans": []}, "ReferencesNonexistentServicePlan", 'References a non-existent ClusterServicePlan (K8S: "p1")', False),
    "broker": (
        {"broker": None},
        "ReferencesNonexistentBroker",
        'The binding references a non-existent broker: ClusterServiceBroker "b"',
        False,
    ),
    "class is not bindable": (
        {"classes": [cluster.service_class(bindable=False)]},
        "ErrorNonbindableServiceClass",
        'References a non-bindable ClusterServiceClass (K8S: "c1" ExternalName: "redis") and Plan ("small") combination',
        True,
    ),
    "plan is not bindable": (
        {"plans": [cluster.plan(bindable=False)]},
        "ErrorNonbindableServiceClass",
        'References a non-bindable ClusterServiceClass (K8S: "c1" ExternalName: "redis") and Plan ("small") combination',
        True,
    ),
    "instance is not ready": (
        {"instance": cluster.instance(status=UNREADY)},
        "ErrorInstanceNotReady",
        'Binding cannot begin because referenced ServiceInstance "ns/i" is not ready',
        False,
    ),
    "instance is busy": (
        {"instance": cluster.instance(status=BUSY)},
        "ErrorAsyncOperationInProgress",
        'Binding cannot begin because referenced ServiceInstance "ns/i" has an asynchronous operation in progress',
        False,
    ),
    "parameters": (
        {},
        "ErrorWithParameters",
        'Failed to prepare parameters: parametersFrom: there is no key "k" in secret "s"',
        False,
        {"parametersFrom": [{"secretKeyRef": {"name": "s", "key": "k"}}]},
    ),
    "namespace": ({"namespace": None}, "ErrorFindingNamespaceForInstance", 'Failed to get namespace "ns"', False),
    "originating identity": (
        {},
        "ErrorWithOriginatingIdentity",
        "Error building originating identity headers: userInfo has no username",
        False,
        {"userInfo": {"uid": "7"}},
    ),
    "instance is being deleted": (
        {"instance": cluster.instance(status=cluster.provisioned(), metadata=DELETED)},
        "ErrorInstanceNotReady",
        "ServiceBinding ns/k references a ServiceInstance that is being deleted: ns/i",
        False,
    ),
}


@pytest.mark.parametrize(("around", "reason", "text", "is_failure", "spec"), [(*row, {})[:5] for row in BLOCKED.values()], ids=BLOCKED)
def test_bind_is_blocked_until_something_else_changes(around, reason, text, is_failure, spec):
    """§2.4 Add."""
    found = step(None, binding_world(**around), **spec)
    assert condition(found.status, "Ready") == ("False", reason)
    assert message(found.status) == text
    assert reasons(found) == [reason]
    assert condition(found.status, "Failed") == (("True", reason) if is_failure else None)
    assert found.status["unbindStatus"] == "NotRequired"


def test_plan_that_is_bindable_overrides_its_class():
    """§2.4 Add: plan.bindable ?? class.bindable."""
    around = {"classes": [cluster.service_class(bindable=False)], "plans": [cluster.plan(bindable=True)]}
    assert step(None, binding_world(**around)).status["currentOperation"] == "Bind"


def test_bind_is_recorded_before_it_is_sent():
    """§2.4 Add, start; and the body of §2.6."""
    thing = cluster.binding(parameters={"access": "read"})
    begun = bindings.next_step(thing, binding_world())
    assert condition(begun.status, "Ready") == ("False", "BindingRequestInFlight")
    assert message(begun.status) == "Binding request for ServiceBinding in-flight to Broker"
    assert (begun.status["currentOperation"], begun.status["unbindStatus"]) == ("Bind", "Required")
    sent = bindings.next_step(written(thing, begun), binding_world()).request
    assert (sent.method, sent.path) == ("PUT", "/v2/service_instances/I/service_bindings/K")
    assert sent.query == {"accepts_incomplete": "true"}
    assert sent.body == {
        "service_id": "C1",
        "plan_id": "P1",
        "app_guid": "uid-ns",
        "bind_resource": {"app_guid": "uid-ns"},
        "context": {"platform": "kubernetes", "namespace": "ns", "clusterid": "cluster-1", "instance_name": "i"},
        "parameters": {"access": "read"},
    }


def test_bind_is_asynchronous_only_where_it_can_be_fetched():
    """§2.4: class.bindingRetrievable; without it there would be no way to the credentials."""
    found = step(binding_status(), binding_world(classes=[cluster.service_class()]))
    assert (found.request.may_be_async, found.request.query) == (False, {})


AT = 'ServiceInstance "ns/i" of ClusterServiceClass (K8S: "c1" ExternalName: "redis") at ClusterServiceBroker "b"'
BIND = {  # answer: Ready, Failed, unbindStatus, is mitigated, beginning of the message
    "202": (http(202, {"operation": "op"}), ("False", "Binding"), None, "Required", False, "The binding is being created asynchronously"),
    "400": (
        http(400),
        ("False", "BindCallFailed"),
        ("True", "ServiceBindingReturnedFailure"),
        "NotRequired",
        False,
        "ServiceBroker returned failure; bind operation will not be retried: Status: 400",
    ),
    "other 4xx": (
        http(422),
        ("False", "BindCallFailed"),
        None,
        "Required",
        False,
        "ServiceBroker returned failure; bind operation will be retried: Status: 422",
    ),
    "408": (http(408), ("False", "BindCallFailed"), None, "Required", False, None),
    "5xx": (http(500), ("False", "ServiceBindingNeedsOrphanMitigation"), None, "Required", True, "Starting orphan mitigation"),
    "malformed 201": (http(201, "x"), ("False", "ServiceBindingNeedsOrphanMitigation"), None, "Required", True, None),
    "malformed 200": (http(200, "x"), ("False", "BindCallFailed"), None, "Required", False, None),
    "timeout": (TIMEOUT, ("False", "ServiceBindingNeedsOrphanMitigation"), None, "Required", True, None),
    "transport": (
        UNREACHABLE,
        ("False", "BindCallFailed"),
        None,
        "Required",
        False,
        f"Error creating ServiceBinding for {AT}: connection refused",
    ),
    "connection lost": (LOST, ("False", "BindCallFailed"), None, "Required", False, None),
}


@pytest.mark.parametrize(("answer", "ready", "failed", "unbind", "is_mitigated", "text"), BIND.values(), ids=BIND)
def test_bind_answer_leads_to_its_row(answer, ready, failed, unbind, is_mitigated, text):
    """§2.4; what upstream never tries again (§2.9 bug 14, its #1787) is tried again, but for 400."""
    status = after(Call.BIND, binding_status(), answer).status
    assert condition(status, "Ready") == ready
    assert condition(status, "Failed") == failed
    assert status["unbindStatus"] == unbind
    assert status.get("orphanMitigationInProgress", False) is is_mitigated
    assert text is None or message(status).startswith(text)


def test_refusal_after_a_lost_answer_does_not_say_that_nothing_was_made():
    """Neither after a lost connection nor after a restart: the broker is asked to remove what it may have."""
    lost = after(Call.BIND, binding_status(), LOST).status
    assert lost["outcomeUncertain"] is True
    marked = step(binding_status(), binding_world(leading_since=cluster.NOW)).status
    for status in (lost, marked):
        refused = after(Call.BIND, status, http(400)).status
        assert condition(refused, "Failed") == ("True", "ServiceBindingReturnedFailure")
        assert refused["orphanMitigationInProgress"] is True


@pytest.mark.parametrize("answer", [http(200, CREDENTIALS), http(201, CREDENTIALS)], ids=["200", "201"])
def test_bind_done_is_a_secret_then_ready(answer):
    """§2.4: transforms → Secret → Ready; Opaque, owned, numbers as JSON. Nothing is written to the binding before the Secret is there."""
    thing = cluster.binding(status=binding_status(), secretTransforms=[{"renameKey": {"from": "host", "to": "HOST"}}])
    found = heard(bindings, thing, SENT[Call.BIND], answer, binding_world())
    assert found.status is None
    assert decoded(found.secret) == {"HOST": "h", "port": "6379"}
    assert found.secret["type"] == "Opaque"
    [owner] = found.secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ServiceBinding", "uid-k", True)
    done = bindings.after_secret(thing, None, binding_world())
    assert condition(done.status, "Ready") == ("True", "InjectedBindResult")
    assert message(done.status) == "Injected bind result"
    assert (done.status["reconciledGeneration"], done.status["binding"]) == (1, {"name": "k"})
    assert "currentOperation" not in done.status
    assert bindings.next_step(written(thing, done), binding_world(secret=OWNED)) == NOTHING


def test_secret_of_somebody_else_is_not_taken():
    """§2.4 Secret."""
    found = after(Call.BIND, binding_status(), http(200, CREDENTIALS), world=binding_world(secret=FOREIGN))
    assert found.secret is None
    assert condition(found.status, "Ready") == ("False", "ErrorInjectingBindResult")
    assert message(found.status) == (
        'Error injecting bind result: Secret "ns/k" is not owned by ServiceBinding, controllerRef: Deployment d'
    )


def test_secret_that_cannot_be_written_is_tried_again_and_given_back_after_seven_days():
    """§2.4: "secret write failed → ErrorInjectingBindResult (retried; after 7d OM)"."""
    found = bindings.after_secret(cluster.binding(status=binding_status()), "forbidden", binding_world())
    assert condition(found.status, "Ready") == ("False", "ErrorInjectingBindResult")
    assert found.status["attempts"] == 1
    refused = after(Call.BIND, found.status, http(400)).status
    assert refused["orphanMitigationInProgress"] is True, "what could not be written down is there"
    late = bindings.after_secret(cluster.binding(status=binding_status(operationStartTime=LONG_AGO)), "forbidden", binding_world())
    assert condition(late.status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert late.status["orphanMitigationInProgress"] is True


def test_bind_is_given_up_after_seven_days():
    """§2.4, other transport errors."""
    status = after(Call.BIND, binding_status(operationStartTime=LONG_AGO), UNREACHABLE).status
    assert condition(status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert message(status, "Failed") == "Stopping reconciliation retries, too much time has elapsed"
    assert message(status).endswith("connection refused")


def test_keys_of_other_namespaces_are_not_read():
    """§2.4, bugs to avoid: `addKeysFrom` with the controller's rights."""
    steps = [{"addKeysFrom": {"secretRef": {"namespace": "kube-system", "name": "s"}}}]
    found = after(Call.BIND, binding_status(), http(200, CREDENTIALS), world=binding_world(sources={"s": {}}), secretTransforms=steps)
    assert found.secret is None
    assert "is not in the namespace of the binding" in message(found.status)


POLL = {
    "in progress": ("Bind", state("in progress"), None, None, True, False),
    "in progress with a description": ("Bind", state("in progress", "half"), ("False", "Binding"), None, True, False),
    "failed, bind": (
        "Bind",
        state("failed", "no"),
        ("False", "ServiceBindingNeedsOrphanMitigation"),
        ("True", "BindCallFailed"),
        False,
        True,
    ),
    "404, bind": (
        "Bind",
        http(404),
        ("False", "ServiceBindingNeedsOrphanMitigation"),
        ("True", "ErrorPollingLastOperation"),
        False,
        True,
    ),
    "400, bind": (
        "Bind",
        http(400),
        ("False", "ServiceBindingNeedsOrphanMitigation"),
        ("True", "ErrorPollingLastOperation"),
        False,
        True,
    ),
    "410, bind": ("Bind", http(410), ("False", "ErrorPollingLastOperation"), None, True, False),
    "500": ("Bind", http(500), ("False", "ErrorPollingLastOperation"), None, True, False),
    "timeout": ("Unbind", TIMEOUT, ("False", "ErrorPollingLastOperation"), None, True, False),
    "in progress, unbind": ("Unbind", state("in progress", "half"), ("False", "Unbinding"), None, True, False),
    "404, unbind": ("Unbind", http(404), ("Unknown", "UnbindCallFailed"), None, False, False),
    "succeeded, unbind": ("Unbind", state("succeeded"), ("False", "UnboundSuccessfully"), None, False, False),
    "410, unbind": ("Unbind", http(410), ("False", "UnboundSuccessfully"), None, False, False),
    "failed, unbind": ("Unbind", state("failed", "busy"), ("Unknown", "UnbindCallFailed"), None, False, False),
    "400, unbind": ("Unbind", http(400), ("Unknown", "UnbindCallFailed"), None, False, False),
}


@pytest.mark.parametrize(("operation", "answer", "ready", "failed", "is_polled", "is_mitigated"), POLL.values(), ids=POLL)
def test_poll_answer_leads_to_its_row(operation, answer, ready, failed, is_polled, is_mitigated):
    """§2.4 with gate AsyncBindingOperations, as §2.3 Poll."""
    old = binding_status(operation, asyncOpInProgress=True, lastOperation="op")
    status = after(Call.LAST_OPERATION, old, answer, DELETED if operation == "Unbind" else None).status
    assert condition(status, "Ready") == ready
    assert condition(status, "Failed") == failed
    assert status["asyncOpInProgress"] is is_polled
    assert status.get("orphanMitigationInProgress", False) is is_mitigated


def test_poll_that_takes_too_long_ends():
    """§2.4: AsyncOperationTimeout, and what was asked for is undone."""
    old = binding_status(asyncOpInProgress=True, operationStartTime=LONG_AGO)
    found = after(Call.LAST_OPERATION, old, state("in progress"))
    assert condition(found.status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert message(found.status, "Failed") == "Stopping reconciliation retries because too much time has elapsed"
    assert reasons(found) == ["AsyncOperationTimeout", "ErrorReconciliationRetryTimeout", "ServiceBindingNeedsOrphanMitigation"]
    assert found.events[0].message == "The asynchronous Bind operation timed out and will not be retried"


def test_unbind_that_takes_too_long_is_asked_for_again():
    """§2.4: upstream stops here for good."""
    old = binding_status("Unbind", asyncOpInProgress=True, operationStartTime=LONG_AGO)
    found = after(Call.LAST_OPERATION, old, state("in progress"), DELETED)
    assert condition(found.status, "Ready") == ("Unknown", "UnbindCallFailed")
    assert message(found.status) == "The asynchronous Unbind operation timed out and is asked for again"
    assert step(found.status, cluster.later(binding_world(), hours=1), DELETED).request.call is Call.UNBIND


def test_asynchronous_bind_is_fetched_without_a_write_in_between():
    """§2.4: after success GET binding; a controller that dies meanwhile polls again and hears the same."""
    old = binding_status(asyncOpInProgress=True, lastOperation="op")
    found = after(Call.LAST_OPERATION, old, state("succeeded"))
    assert found.status is None
    assert (found.request.method, found.request.path) == ("GET", "/v2/service_instances/I/service_bindings/K")
    assert decoded(after(Call.GET_BINDING, old, http(200, CREDENTIALS)).secret)["host"] == "h"


@pytest.mark.parametrize(("answer", "is_mitigated"), [(http(500), False), (TIMEOUT, False), (http(404), True), (http(200, "x"), True)])
def test_binding_that_cannot_be_fetched_is_asked_for_again_or_undone(answer, is_mitigated):
    """§2.4: FetchingBindingFailed."""
    found = after(Call.GET_BINDING, binding_status(asyncOpInProgress=True), answer)
    assert "FetchingBindingFailed" in reasons(found)
    assert found.status.get("orphanMitigationInProgress", False) is is_mitigated
    assert found.status["asyncOpInProgress"] is not is_mitigated


@pytest.mark.parametrize("state", ["NotRequired", "Succeeded", ""])
def test_deletion_lets_go_what_the_broker_does_not_have(state):
    """§2.4 Delete."""
    assert step({"unbindStatus": state}, metadata=DELETED).metadata == {"finalizers": []}


def test_deletion_takes_the_secret_first_then_asks_the_broker():
    """§2.4 Delete, its order."""
    done = {"unbindStatus": "Required", "externalProperties": {}, "reconciledGeneration": 1, "conditions": []}
    assert step(done, binding_world(secret=OWNED), DELETED).deletions == (Deletion("Secret", "k", "uid-s"),)
    thing = cluster.binding(status=done, metadata=DELETED)
    begun = bindings.next_step(thing, binding_world())
    assert condition(begun.status, "Ready") == ("False", "UnbindingRequestInFlight")
    assert begun.status["currentOperation"] == "Unbind"
    sent = bindings.next_step(written(thing, begun), binding_world()).request
    assert (sent.method, sent.path) == ("DELETE", "/v2/service_instances/I/service_bindings/K")
    assert sent.query == {"service_id": "C1", "plan_id": "P1", "accepts_incomplete": "true"}


def test_deletion_leaves_the_secret_of_somebody_else():
    """§2.9 bug 1."""
    found = step({"unbindStatus": "Required", "conditions": []}, binding_world(secret=FOREIGN), DELETED)
    assert found.deletions == ()
    assert found.status["currentOperation"] == "Unbind"


def test_secret_that_cannot_be_deleted_is_tried_again():
    """§2.4 Delete: ErrorEjectingServiceBinding."""
    thing = cluster.binding(status={"unbindStatus": "Required", "conditions": []}, metadata=DELETED)
    found = bindings.after_deletion(thing, "forbidden", binding_world())
    assert condition(found.status, "Ready") == ("False", "ErrorEjectingServiceBinding")
    again = bindings.next_step(written(thing, found), binding_world(secret=OWNED))
    assert again.wait_seconds == 1


def test_pause_of_a_bind_does_not_hold_up_its_removal():
    """What cannot be made need not be waited for."""
    status = {"unbindStatus": "NotRequired", "conditions": [], "attempts": 9, "nextAttemptTime": "2026-03-01T12:09:00Z"}
    assert step(status, metadata=DELETED).metadata == {"finalizers": []}


def test_deletion_without_an_instance_lets_go():
    """§2.4 Delete: "instance gone → ReferencesNonexistentInstance (stuck)", without the last word."""
    found = step({"unbindStatus": "Required", "conditions": []}, binding_world(instance=None), DELETED)
    assert condition(found.status, "Ready") == ("False", "ReferencesNonexistentInstance")
    assert found.metadata == {"finalizers": []}


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        ({"instance": cluster.instance(status=BUSY)}, "ErrorAsyncOperationInProgress"),
        ({"instance": cluster.instance(status=cluster.provisioned(), clusterServiceClassRef=None)}, "ErrorInstanceRefsUnresolved"),
        ({"broker": None}, "ReferencesNonexistentBroker"),
    ],
)
def test_unbind_is_blocked(around, reason):
    """§2.4 Delete."""
    assert condition(step(binding_status("Unbind"), binding_world(**around), DELETED).status, "Ready") == ("False", reason)


@pytest.mark.parametrize("answer", [http(200), http(410)], ids=["200", "410"])
def test_unbind_done_lets_the_object_go(answer):
    """§2.4 Delete."""
    found = after(Call.UNBIND, binding_status("Unbind"), answer, DELETED)
    assert condition(found.status, "Ready") == ("False", "UnboundSuccessfully")
    assert message(found.status) == "The binding was deleted successfully"
    assert found.metadata == {"finalizers": []}


def test_unbind_started_is_polled():
    """§2.4 Delete: 202."""
    status = after(Call.UNBIND, binding_status("Unbind"), http(202), DELETED).status
    assert condition(status, "Ready") == ("False", "Unbinding")
    assert status["asyncOpInProgress"]


@pytest.mark.parametrize("answer", [http(400), http(422), http(500), TIMEOUT, UNREACHABLE])
def test_unbind_error_is_retried(answer):
    """§2.4 Delete; after seven days too, which is told."""
    status = after(Call.UNBIND, binding_status("Unbind"), answer, DELETED).status
    assert condition(status, "Ready") == ("Unknown", "UnbindCallFailed")
    assert message(status).startswith(f"Error unbinding from {AT}: ")
    assert (status["unbindStatus"], status["attempts"]) == ("Required", 1)
    late = after(Call.UNBIND, binding_status("Unbind", operationStartTime=LONG_AGO), answer, DELETED).status
    assert condition(late, "Failed") == ("True", "ErrorReconciliationRetryTimeout")
    assert step(late, cluster.later(binding_world(), hours=1), DELETED).request.call is Call.UNBIND


def test_orphan_mitigation_done_leads_to_bind_again():
    """§2.4 OM; unlike upstream's the binding is made again, with a pause."""
    old = binding_status("Unbind", orphanMitigationInProgress=True, attempts=2)
    status = after(Call.UNBIND, old, http(410)).status
    assert condition(status, "Ready") == ("False", "OrphanMitigationSuccessful")
    assert step(status).wait_seconds == 4
    assert step(status, cluster.later(binding_world(), seconds=5)).status["currentOperation"] == "Bind"


def test_orphan_mitigation_error_is_retried():
    """§2.4 OM, failure."""
    status = after(Call.UNBIND, binding_status("Unbind", orphanMitigationInProgress=True), http(500)).status
    assert condition(status, "Ready") == ("Unknown", "OrphanMitigationFailed")
    assert step(status, cluster.later(binding_world(), hours=1)).request.call is Call.UNBIND
