"""Bind: the credentials are not in their Secret yet."""

from dataclasses import dataclass
from typing import Any

from apb_controller.rules import conditions, identity, names, orphans, osb, parameters, references, transforms
from apb_controller.rules.answers import Call, Kind, Outcome
from apb_controller.rules.bindings import world as surroundings
from apb_controller.rules.bindings.world import World
from apb_controller.rules.drafts import Draft
from apb_controller.rules.instances.world import sources
from apb_controller.rules.steps import NOTHING, Blocked, Object, Request, Step

STARTED = "The binding is being created asynchronously"
TOO_LONG = "Stopping reconciliation retries, too much time has elapsed"
ORPHAN = orphans.Texts(None, "ServiceBindingNeedsOrphanMitigation", "Starting orphan mitigation")


@dataclass(frozen=True)
class Prepared:
    """All that the request needs, and what the status says of it."""

    instance: Object
    referred: references.Referred
    parameters: parameters.Parameters
    properties: Object
    identity: str | None
    space: str


def step(binding: Object, world: World) -> Step:
    """What is done next."""
    draft = _draft(binding, world)
    if draft.is_true("Failed") or _is_done(binding, draft):
        return NOTHING
    if adopted := _adoption(binding, world):
        return adopted
    if pause := draft.pause():
        return Step(wait_seconds=pause)
    try:
        prepared = _prepare(binding, world)
    except Blocked as why:
        return draft.blocked(why, world.limits)
    if draft.status.get("currentOperation") != "Bind" or draft.status.get("unbindStatus") != "Required":
        _begin(draft, prepared)
        return draft.step()
    if draft.status["inProgressProperties"] != prepared.properties:
        orphans.begin(
            draft, ORPHAN, "BindingRequestInFlight", "The parameters have changed while a binding request was in-flight to Broker"
        )
        return draft.step()
    if draft.may_have_been_sent(world.leading_since):
        draft.set(outcomeUncertain=True)
        return draft.step()
    return Step(request=_request(binding, prepared, world))


def after(binding: Object, outcome: Outcome, world: World) -> Step:
    """What the broker's answer makes of it."""
    draft = Draft(binding.get("status"), world.now)
    match outcome.kind:
        case Kind.DONE:
            return injection(draft, binding, outcome, world)
        case Kind.STARTED:
            draft.start_polling(outcome.operation, world.limits, outcome.retry_after)
            draft.ready("False", "Binding", STARTED)
            draft.tell("Binding", STARTED)
        case Kind.INVALID:
            text = f"ServiceBroker returned failure; bind operation will not be retried: {outcome.error}"
            # The request before, whose answer got lost, may have made what this one was refused.
            is_open = bool(draft.status.get("outcomeUncertain"))
            failed(draft, "BindCallFailed", text, "ServiceBindingReturnedFailure", is_orphan_possible=is_open)
        case _:
            _failed_for_now(draft, binding, outcome, world)
    return draft.step()


def injection(draft: Draft, binding: Object, outcome: Outcome, world: World) -> Step:
    """The Secret that is to be written. Until it is, the broker is asked again: it answers the same."""
    try:
        secret = _secret(binding, outcome.body.get("credentials") or {}, world)
    except (transforms.TransformError, Blocked) as error:
        return not_injected(draft, str(error), world)
    return Step(secret=secret)


def after_secret(binding: Object, error: str | None, world: World) -> Step:
    """The Secret is there, or could not be written."""
    draft = Draft(binding.get("status"), world.now)
    if error is not None:
        return not_injected(draft, error, world)
    message = "Injected bind result"
    draft.set(externalProperties=draft.status.get("inProgressProperties"), orphanMitigationInProgress=False, outcomeUncertain=None)
    draft.set(reconciledGeneration=binding["metadata"].get("generation"), binding={"name": secret_name(binding)})
    draft.end()
    draft.ready("True", "InjectedBindResult", message)
    draft.tell("InjectedBindResult", message)
    return draft.step()


def not_injected(draft: Draft, error: str, world: World) -> Step:
    """The credentials have no place: it is tried again, and they are given back when that has taken too long."""
    message = f"Error injecting bind result: {error}"
    if draft.has_taken(world.limits.retry_duration):
        failed(draft, "ErrorInjectingBindResult", message, "ErrorReconciliationRetryTimeout", TOO_LONG, is_orphan_possible=True)
        return draft.step()
    draft.ready("False", "ErrorInjectingBindResult", message)
    draft.warn("ErrorInjectingBindResult", message)
    draft.set(outcomeUncertain=True)  # the broker has it: what it says to the next request does not mean that it has not
    draft.try_later(world.limits)
    return draft.step()


def failed(draft: Draft, reason: str, message: str, failure: str, final: str | None = None, *, is_orphan_possible: bool) -> None:
    """It is not tried again. `final`: what Failed says, if it is not what Ready does."""
    draft.fail(reason, message, failure, final)
    if is_orphan_possible:
        orphans.begin(draft, ORPHAN, reason, message)
    else:
        draft.set(unbindStatus="NotRequired")
        draft.end()


def secret_name(binding: Object) -> str:
    """The Secret of a binding."""
    return str(binding["spec"].get("secretName") or binding["metadata"]["name"])


def plan_id(instance: Object, referred: references.Referred) -> str:
    """The plan that the broker has for the instance."""
    external = (instance.get("status") or {}).get("externalProperties") or {}
    return str(external.get(f"{referred.scope.plan_field}ExternalID") or referred.plan_id)


def _draft(binding: Object, world: World) -> Draft:
    draft = Draft(binding.get("status"), world.now)
    draft.status.setdefault("conditions", [])
    draft.set(unbindStatus=draft.status.get("unbindStatus") or "NotRequired")
    draft.set(asyncOpInProgress=False, orphanMitigationInProgress=False)
    return draft


def _is_done(binding: Object, draft: Draft) -> bool:
    is_same = draft.status.get("reconciledGeneration", 0) == binding["metadata"].get("generation", 0)
    return is_same and not draft.status.get("currentOperation")


def _adoption(binding: Object, world: World) -> Step | None:
    finalizers = binding["metadata"].get("finalizers") or []
    metadata = {} if names.FINALIZER in finalizers else {"finalizers": [*finalizers, names.FINALIZER]}
    spec = {} if binding["spec"].get("externalID") else {"externalID": world.new_id}
    if not binding["spec"].get("secretName"):
        spec["secretName"] = binding["metadata"]["name"]
    return Step(metadata=metadata or None, spec=spec or None) if metadata or spec else None


def _prepare(binding: Object, world: World) -> Prepared:
    """Everything for the request. Raises Blocked, with upstream's reasons."""
    instance = _instance(binding, world)
    referred = surroundings.referred(instance, world)
    _require_bindable(referred)
    if not conditions.is_true((instance.get("status") or {}).get("conditions"), "Ready"):
        text = f'Binding cannot begin because referenced ServiceInstance "{surroundings.key(binding)}" is not ready'
        raise Blocked("ErrorInstanceNotReady", text)
    spec = binding["spec"]
    try:
        merged = parameters.merged(spec.get("parameters"), sources(spec, world.secrets))
    except parameters.ParametersError as error:
        raise Blocked("ErrorWithParameters", f"Failed to prepare parameters: {error}") from None
    space = osb.namespace_uid(world.namespace, binding["metadata"]["namespace"])
    properties: dict[str, Any] = {"parameters": merged.shown, "parameterChecksum": merged.checksum, "userInfo": spec.get("userInfo")}
    given = {name: value for name, value in properties.items() if value}
    return Prepared(instance, referred, merged, given, identity.header(spec.get("userInfo")), space)


def _instance(binding: Object, world: World) -> Object:
    key = surroundings.key(binding)
    if world.instance is None:
        raise Blocked("ReferencesNonexistentInstance", f'References a non-existent ServiceInstance "{key}"')
    if world.instance["metadata"].get("deletionTimestamp"):
        name = f"{binding['metadata']['namespace']}/{binding['metadata']['name']}"
        raise Blocked("ErrorInstanceNotReady", f"ServiceBinding {name} references a ServiceInstance that is being deleted: {key}")
    if (world.instance.get("status") or {}).get("asyncOpInProgress"):
        text = f'Binding cannot begin because referenced ServiceInstance "{key}" has an asynchronous operation in progress'
        raise Blocked("ErrorAsyncOperationInProgress", text)
    return world.instance


def _require_bindable(referred: references.Referred) -> None:
    of_plan = referred.plan["spec"].get("bindable")
    if not (referred.service_class["spec"].get("bindable") if of_plan is None else of_plan):
        described = f'{referred.described_class} and Plan ("{referred.plan["spec"]["externalName"]}")'
        raise Blocked("ErrorNonbindableServiceClass", f"References a non-bindable {described} combination", is_failure=True)


def _begin(draft: Draft, prepared: Prepared) -> None:
    draft.begin("Bind", prepared.properties)
    draft.set(unbindStatus="Required")
    draft.ready("False", "BindingRequestInFlight", "Binding request for ServiceBinding in-flight to Broker")


def _request(binding: Object, prepared: Prepared, world: World) -> Request:
    body = {
        "service_id": prepared.referred.service_id,
        "plan_id": plan_id(prepared.instance, prepared.referred),
        "app_guid": prepared.space,
        "bind_resource": {"app_guid": prepared.space},
        "context": osb.context(prepared.instance, world.cluster_id),
        "parameters": prepared.parameters.values or None,
    }
    # Without bindings_retrievable there would be no way to fetch the credentials afterwards.
    may_be_async = bool(prepared.referred.service_class["spec"].get("bindingRetrievable"))
    path = osb.binding_path(prepared.instance, binding)
    return osb.request(Call.BIND, path, identity=prepared.identity, body=body, may_be_async=may_be_async)


def _failed_for_now(draft: Draft, binding: Object, outcome: Outcome, world: World) -> None:
    if outcome.kind is Kind.TIMEOUT:
        message = f"Communication with the ServiceBroker timed out; Bind operation will be retried: {outcome.error}"
    elif outcome.kind in (Kind.UNREACHABLE, Kind.LOST):
        message = f"Error creating ServiceBinding for {surroundings.described(binding, world)}: {outcome.error}"
    else:
        message = f"ServiceBroker returned failure; bind operation will be retried: {outcome.error}"
    if outcome.kind is Kind.LOST:
        draft.set(outcomeUncertain=True)
    if draft.has_taken(world.limits.retry_duration):
        is_open = outcome.is_orphan_possible or bool(draft.status.get("outcomeUncertain"))
        failed(draft, "BindCallFailed", message, "ErrorReconciliationRetryTimeout", TOO_LONG, is_orphan_possible=is_open)
        return
    draft.ready("False", "BindCallFailed", message)
    draft.warn("BindCallFailed", message)
    draft.try_later(world.limits, outcome)
    if outcome.is_orphan_possible:
        orphans.begin(draft, ORPHAN, "BindCallFailed", message)


def _secret(binding: Object, credentials: Object, world: World) -> Object:
    """The Secret. Raises TransformError, and Blocked when the place is somebody else's."""
    name, namespace = secret_name(binding), binding["metadata"]["namespace"]
    if world.secret is not None and not surroundings.is_owned(world.secret, binding):
        controller = next((one for one in world.secret["metadata"].get("ownerReferences") or [] if one.get("controller")), None)
        shown = f"{controller['kind']} {controller['name']}" if controller else "nil"
        text = f'Secret "{namespace}/{name}" is not owned by ServiceBinding, controllerRef: {shown}'
        raise Blocked("ErrorInjectingBindResult", text)
    steps = binding["spec"].get("secretTransforms") or []
    if refused := transforms.namespace_error(steps, namespace):
        raise transforms.TransformError(refused)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": [surroundings.owner(binding)]},
        "type": "Opaque",
        "data": transforms.secret_data(transforms.applied(credentials, steps, world.sources)),
    }
