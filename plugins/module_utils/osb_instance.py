"""An instance at a broker: there, of its plan and with its parameters, or gone.

What the broker tells is compared with what is wanted, and only what differs is sent. What a broker keeps to itself (secret
parameters, or all of them) is compared by the broker: it answers the same request for an instance that is there with 200, and
another one with 409 (Open Service Broker 2.17, "Provisioning").
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from ansible_collections.apb.catalog.plugins.module_utils import osb

SPEC = dict(
    **osb.SPEC,
    **osb.PLACE,
    instance=dict(type="str", required=True, aliases=["name"]),
    instance_id=dict(type="str"),
    service=dict(type="str"),
    plan=dict(type="str"),
    parameters=dict(type="dict", default={}),
    secret_parameters=dict(type="dict", default={}, no_log=True),
    state=dict(type="str", choices=["present", "absent"], default="present"),
    wait=dict(type="bool", default=True),
    wait_timeout=dict(type="int"),
)
RULES = dict(**osb.LOGIN, required_if=[("state", "present", ("service", "plan"))])
UNCHANGED = {"changed": False, "diff": {"before": {}, "after": {}}}
CURES = {
    "provision of": "Run this again to try again, or with state=absent to remove what is left",
    "update of": "The instance is as it was, unless the broker says otherwise; run this again to try again",
    "deprovision of": "Run this again to try again",
}
UNKNOWN = "the broker does not tell the parameters of its instances: whether they would change is not known"


@dataclass(frozen=True)
class Seen:
    """What the broker says of the instance: the state of its newest operation and what it is, as far as that was asked for."""

    is_there: bool
    state: str | None = None
    told: dict | None = None

    @property
    def is_busy(self) -> bool:
        return self.state == "in progress"


@dataclass
class Subject:
    """The instance, how it is called, and what is wanted of it."""

    broker: osb.Broker
    params: dict
    identifier: str
    services: list
    offer: osb.Offer | None
    deadline: float = 0
    warnings: list = field(default_factory=list)

    @property
    def path(self) -> str:
        return osb.instance_path(self.identifier)

    @property
    def text(self) -> str:
        return f"instance {self.params['instance']}"

    @property
    def parameters(self) -> dict:
        return {**self.params["parameters"], **self.params["secret_parameters"]}

    @property
    def is_told(self) -> bool:
        """Whether the broker tells what its instances are."""
        services = self.services if self.offer is None else [self.offer.service]
        return all(service.get("instances_retrievable") for service in services)


def work(params: dict, check_mode: bool) -> dict:
    """What became of it: changed, diff, instance_id, connection, dashboard_url, operation. Raises osb.OsbError."""
    broker = osb.connect(params)
    services = broker.catalog()
    offer = osb.offer(services, params["service"], params["plan"]) if params["service"] and params["plan"] else None
    subject = Subject(broker, params, osb.instance_id(params), services, offer)
    subject.deadline = broker.clock() + osb.wait_seconds(params, offer.plan if offer else {})
    if params["state"] == "present" and offer is None:
        raise osb.OsbError(f"{subject.text}: state is present, and service or plan is missing")
    result = remove(subject, check_mode) if params["state"] == "absent" else bring(subject, check_mode)
    return {"in_progress": False, **result, "instance_id": subject.identifier, "warnings": subject.warnings}


def bring(subject: Subject, check_mode: bool) -> dict:
    """Makes it, or changes it. What else is in progress on it is waited for."""
    while True:
        seen = look(subject)
        if seen.is_busy and (check_mode or not subject.params["wait"]):
            return {**UNCHANGED, "in_progress": True}
        if seen.is_busy:
            await_others(subject)
            continue
        try:
            return change(subject, seen, check_mode) if seen.is_there else make(subject, check_mode)
        except osb.Refused as error:
            if error.word != "ConcurrencyError" or not subject.params["wait"] or subject.broker.clock() > subject.deadline:
                raise
            subject.broker.sleep(osb.PAUSE_SECONDS)


def look(subject: Subject) -> Seen:
    """The instance as it is now."""
    if not subject.is_told:
        if subject.offer is None:
            raise osb.OsbError(f"{subject.text}: the broker does not tell all of its instances: give service and plan")
        state = subject.broker.last_state(subject.path, subject.offer.ids)
        return Seen(state is not None, state)
    try:
        return Seen(True, told=subject.broker.call("GET", subject.path).body)
    except osb.Refused as error:
        if error.word == "ConcurrencyError":
            return Seen(True, "in progress")
        if error.status not in (404, 410):
            raise
    return Seen(False, subject.broker.last_state(subject.path))


def await_others(subject: Subject) -> None:
    """Until what somebody else began has ended. It may fail: what counts is what is there then."""
    with contextlib.suppress(osb.Failed):
        subject.broker.settle(subject.path, None, f"what is in progress on {subject.text}", deadline=subject.deadline)


def make(subject: Subject, check_mode: bool) -> dict:
    """An instance that the broker does not have."""
    diff = {"before": {}, "after": shown(subject, subject.params["plan"], subject.params["parameters"])}
    if check_mode:
        return {"changed": True, "diff": diff}
    answer = put(subject, subject.parameters)
    ended = finish(subject, answer, "provision of")
    return {"changed": answer.status != 200, "diff": diff if answer.status != 200 else UNCHANGED["diff"], **ended}


def put(subject: Subject, parameters: dict) -> osb.Answer:
    """The request for it. Of one that is there it says whether it is this one."""
    body = {
        **subject.offer.ids,
        "organization_guid": subject.params["organization"],
        "space_guid": subject.params["space"],
        "context": {"platform": osb.PLATFORM, "instance_name": subject.params["instance"]},
        "parameters": parameters,
    }
    return subject.broker.call("PUT", subject.path, {"accepts_incomplete": "true"}, body)


def change(subject: Subject, seen: Seen, check_mode: bool) -> dict:
    """An instance that the broker has."""
    if seen.told is None:
        return change_unseen(subject, check_mode)
    check_service(subject, seen.told)
    told = seen.told.get("parameters") or {}
    wanted = {name: value for name, value in subject.parameters.items() if name not in told or not is_same(told[name], value)}
    is_moved = seen.told.get("plan_id") != subject.offer.ids["plan_id"]
    is_seen = is_moved or any(name in told for name in wanted)
    is_hidden = not is_moved and any(name not in told for name in wanted) and differs(subject, {**told, **wanted}, check_mode)
    if not is_seen and not is_hidden:
        return {**UNCHANGED, **of_answer(seen.told)}
    after = {**told, **subject.params["parameters"]}
    diff = {"before": shown(subject, plan_name(subject, seen.told), told), "after": shown(subject, subject.params["plan"], after)}
    if check_mode:
        return {"changed": True, "diff": diff, **of_answer(seen.told)}
    result = patch(subject, wanted, seen.told["plan_id"] if is_moved else None)
    now = look(subject).told if subject.params["wait"] else None
    is_other = now is None or any(now.get(key) != seen.told.get(key) for key in ("plan_id", "parameters"))
    return {**result, "changed": is_other or is_hidden, "diff": diff}


def check_service(subject: Subject, told: dict) -> None:
    """Raises OsbError when the name stands for something else."""
    if told.get("service_id") != subject.offer.ids["service_id"]:
        raise osb.OsbError(
            f"{subject.text} is of another service than {subject.params['service']}, and services do not change: "
            "choose another name, or remove it first (state=absent)"
        )


def differs(subject: Subject, parameters: dict, check_mode: bool) -> bool:
    """Whether the broker says that it has other parameters, among them some that it does not tell."""
    if check_mode:
        subject.warnings.append(f"{subject.text}: the broker does not tell all of its parameters; whether these would change is not known")
        return False
    try:
        return put(subject, parameters).status != 200
    except osb.Refused as error:
        if error.status != 409:
            raise
    return True


def change_unseen(subject: Subject, check_mode: bool) -> dict:
    """The same at a broker that does not tell what its instances are."""
    if check_mode:
        subject.warnings.append(f"{subject.text}: {UNKNOWN}")
        return UNCHANGED
    try:
        answer = put(subject, subject.parameters)
        return {**UNCHANGED, "changed": answer.status != 200, **finish(subject, answer, "provision of")}
    except osb.Refused as error:
        if error.status != 409:
            raise
    return {
        "diff": {"before": {}, "after": shown(subject, subject.params["plan"], subject.params["parameters"])},
        **patch(subject, subject.parameters, None),
    }


def patch(subject: Subject, parameters: dict, plan_before: str | None) -> dict:
    """The request to change it: what is not named stays."""
    body = {"service_id": subject.offer.ids["service_id"], "plan_id": subject.offer.ids["plan_id"], "parameters": parameters}
    if plan_before is not None:
        body["previous_values"] = {"plan_id": plan_before}
    if not parameters:
        del body["parameters"]
    answer = subject.broker.call("PATCH", subject.path, {"accepts_incomplete": "true"}, body)
    return {"changed": True, **finish(subject, answer, "update of")}


def finish(subject: Subject, answer: osb.Answer, verb: str) -> dict:
    """What there is to tell after a request, when it has ended if it is waited for."""
    ended = of_answer(answer.body)
    if answer.status != 202:
        return ended
    operation = answer.body.get("operation")
    if not subject.params["wait"]:
        return {**ended, "operation": operation, "in_progress": True}
    text, removes = f"{verb} {subject.text}", verb == "deprovision of"
    try:
        subject.broker.settle(subject.path, operation, text, deadline=subject.deadline, removes=removes, query=hints(subject))
    except osb.Failed as error:
        raise osb.Failed(f"{error}. {CURES[verb]}") from None
    return ended


def hints(subject: Subject) -> dict:
    """What OSB calls hints when polling. A broker that tells what it has needs none, and after a change of plan ours would be wrong."""
    return {} if subject.is_told else subject.offer.ids


def remove(subject: Subject, check_mode: bool) -> dict:
    """Removes it, also while something else is in progress on it, and what a failed provision has left."""
    seen = look(subject)
    if not seen.is_there and seen.state not in ("in progress", "failed"):
        return UNCHANGED
    before = shown(subject, plan_name(subject, seen.told), (seen.told or {}).get("parameters") or {})
    removed = {"changed": True, "diff": {"before": before, "after": {}}}
    if check_mode:
        return removed
    try:
        answer = subject.broker.call("DELETE", subject.path, {**ids(subject, seen), "accepts_incomplete": "true"})
    except osb.Refused as error:
        if error.status != 410:
            raise
        return UNCHANGED
    return {**removed, **finish(subject, answer, "deprovision of")}


def ids(subject: Subject, seen: Seen) -> dict:
    """Service and plan, which a removal has to name: as the broker tells them, or else as the task does."""
    if seen.told is not None:
        return {name: seen.told[name] for name in ("service_id", "plan_id")}
    if subject.offer is None:
        raise osb.OsbError(f"{subject.text}: the broker does not tell of which service and plan it is: give service and plan")
    return subject.offer.ids


def of_answer(body: dict) -> dict:
    """What of an answer is told on: where the instance is, which is never secret."""
    return {"connection": body.get("apb_connection"), "dashboard_url": body.get("dashboard_url")}


def shown(subject: Subject, plan: str | None, parameters: dict) -> dict:
    """What is or shall be, for a diff: no secret parameters, not even when the broker tells them."""
    secret = subject.params["secret_parameters"]
    return {"plan": plan, "parameters": {name: value for name, value in parameters.items() if name not in secret}}


def plan_name(subject: Subject, told: dict | None) -> str | None:
    """The plan's name, where the catalog has it."""
    if told is None:
        return subject.params["plan"]
    return osb.offer_by_ids(subject.services, {name: told.get(name, "") for name in ("service_id", "plan_id")}).plan["name"]


def is_same(one: object, other: object) -> bool:
    """Whether two values are the same JSON: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other
