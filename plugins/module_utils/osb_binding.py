"""A binding at a broker: an account for somebody on an instance, there or gone. Its credentials are read, never kept.

Bindings do not change: other parameters are another binding.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from ansible_collections.apb.catalog.plugins.module_utils import osb

SPEC = dict(
    **osb.SPEC,
    **osb.PLACE,
    binding=dict(type="str", required=True, aliases=["name"]),
    binding_id=dict(type="str"),
    instance=dict(type="str"),
    instance_id=dict(type="str"),
    service=dict(type="str"),
    plan=dict(type="str"),
    parameters=dict(type="dict", default={}),
    app_guid=dict(type="str"),
    return_credentials=dict(type="bool", default=False),
    state=dict(type="str", choices=["present", "absent"], default="present"),
    wait=dict(type="bool", default=True),
    wait_timeout=dict(type="int"),
)
RULES = dict(
    mutually_exclusive=osb.LOGIN["mutually_exclusive"],
    required_together=[*osb.LOGIN["required_together"], ("service", "plan")],
    required_one_of=[("instance", "instance_id")],
)
UNCHANGED = {"changed": False, "diff": {"before": {}, "after": {}}}


@dataclass
class Subject:
    """The binding, how it is called, and what is wanted of it."""

    broker: osb.Broker
    params: dict
    instance_id: str
    identifier: str
    offer: osb.Offer
    deadline: float

    @property
    def path(self) -> str:
        return osb.binding_path(self.instance_id, self.identifier)

    @property
    def text(self) -> str:
        return f"binding {self.params['binding']} of instance {self.params['instance'] or self.instance_id}"

    @property
    def is_told(self) -> bool:
        """Whether the broker tells what its bindings are. Only then may they be made step by step (OSB 2.17, "Binding")."""
        return bool(self.offer.service.get("bindings_retrievable"))

    @property
    def incomplete(self) -> dict:
        return {"accepts_incomplete": "true"} if self.is_told else {}


def work(params: dict, check_mode: bool) -> dict:
    """What became of it: changed, diff, ids, expires_at, and its credentials only where they are asked for. Raises osb.OsbError."""
    broker = osb.connect(params)
    instance_id = osb.instance_id(params)
    offer = offer_of(broker, params, instance_id)
    told = {"instance_id": instance_id, "binding_id": binding_id(params, instance_id), "in_progress": False}
    if offer is None:
        return {**UNCHANGED, **told}
    deadline = broker.clock() + osb.wait_seconds(params, offer.plan)
    subject = Subject(broker, params, instance_id, told["binding_id"], offer, deadline)
    return {**told, **(remove(subject, check_mode) if params["state"] == "absent" else bring(subject, check_mode))}


def binding_id(params: dict, instance_id: str) -> str:
    """The id that is given, else the one that its name and its instance always make."""
    return params.get("binding_id") or osb.made_id(instance_id, params["binding"])


def offer_of(broker: osb.Broker, params: dict, instance_id: str) -> osb.Offer | None:
    """Service and plan of the instance, as the task or else the broker tells; None when neither it nor its bindings are there."""
    services = broker.catalog()
    if params["service"] and params["plan"]:
        return osb.offer(services, params["service"], params["plan"])
    are_told = all(service.get("instances_retrievable") for service in services)
    try:
        return osb.offer_by_ids(services, broker.call("GET", osb.instance_path(instance_id)).body)
    except osb.Refused as error:
        if error.status not in (404, 405, 410, 422):
            raise
        if error.status in (404, 410) and are_told and params["state"] == "absent":
            return None
    name = params["instance"] or instance_id
    reason = "does not exist, or is not ready" if are_told else "is not told by the broker"
    cure = "make it first (osb_instance)" if are_told else "give service and plan"
    raise osb.OsbError(f"instance {name} {reason}: {cure}")


def bring(subject: Subject, check_mode: bool) -> dict:
    """Makes it, and waits for it, also for one that is being made."""
    while True:
        found = fetched(subject)
        if found is not None:
            check_parameters(subject, found)
            return {**UNCHANGED, **result(subject, found)}
        state = subject.broker.last_state(subject.path) if subject.is_told else None
        if state == "in progress" and (check_mode or not subject.params["wait"]):
            return {**UNCHANGED, "in_progress": True}
        if state != "in progress":
            break
        with contextlib.suppress(osb.Failed):  # of somebody else's: what counts is what is there then
            subject.broker.settle(subject.path, None, f"what is in progress on {subject.text}", deadline=subject.deadline)
    diff = {"before": {}, "after": {"parameters": subject.params["parameters"]}}
    return {"changed": True, "diff": diff} if check_mode else {"diff": diff, **make(subject)}


def make(subject: Subject) -> dict:
    """The request for it."""
    answer = patiently(subject, "PUT", subject.incomplete, body_of(subject))
    if answer.status != 202:
        return {"changed": answer.status != 200, **result(subject, answer.body)}
    if not subject.params["wait"]:
        return {"changed": True, "in_progress": True, "operation": answer.body.get("operation")}
    settle(subject, answer, "bind of")
    found = fetched(subject)
    if found is None:
        raise osb.OsbError(f"{subject.text} is made, and the broker does not know it: run this again")
    return {"changed": True, **result(subject, found)}


def body_of(subject: Subject) -> dict:
    """What is asked for."""
    body = {
        **subject.offer.ids,
        "context": {"platform": osb.PLATFORM, "binding_name": subject.params["binding"]},
        "parameters": subject.params["parameters"],
    }
    if subject.params["app_guid"]:
        body.update(app_guid=subject.params["app_guid"], bind_resource={"app_guid": subject.params["app_guid"]})
    return body


def patiently(subject: Subject, method: str, query: dict, body: dict | None = None) -> osb.Answer:
    """A request that waits, if it may, for what else is in progress on the instance."""
    while True:
        try:
            return subject.broker.call(method, subject.path, query, body)
        except osb.Refused as error:
            if error.word != "ConcurrencyError" or not subject.params["wait"] or subject.broker.clock() > subject.deadline:
                raise
            subject.broker.sleep(osb.PAUSE_SECONDS)


def settle(subject: Subject, answer: osb.Answer, verb: str) -> None:
    """Waits for its end. Raises osb.Failed, osb.TimedOut."""
    text = f"{verb} {subject.text}"
    try:
        subject.broker.settle(
            subject.path,
            answer.body.get("operation"),
            text,
            deadline=subject.deadline,
            removes=verb == "unbind of",
            query=subject.offer.ids,
        )
    except osb.Failed as error:
        raise osb.Failed(f"{error}. Run this again to try again") from None


def fetched(subject: Subject) -> dict | None:
    """The binding as the broker tells it; None when there is none, or it does not tell."""
    return fetch(subject.broker, subject.path) if subject.is_told else None


def fetch(broker: osb.Broker, path: str) -> dict | None:
    """The same, of a broker that tells it. Holds credentials."""
    try:
        return broker.call("GET", path).body
    except osb.Refused as error:
        if error.status not in (404, 410):
            raise
    return None


def check_parameters(subject: Subject, found: dict) -> None:
    """Raises OsbError when it was made with others. What the broker does not tell is not compared."""
    told = found.get("parameters") or {}
    others = sorted(name for name, value in subject.params["parameters"].items() if name in told and told[name] != value)
    if others:
        raise osb.OsbError(
            f"{subject.text} was made with another value of {', '.join(others)}, and bindings do not change: "
            "choose another name, or remove it first (state=absent)"
        )


def result(subject: Subject, body: dict) -> dict:
    """What is told of it."""
    told = {name: (body.get("metadata") or {}).get(name) for name in ("expires_at", "renew_before")}
    return {**told, "credentials": body.get("credentials") or {}} if subject.params["return_credentials"] else told


def remove(subject: Subject, check_mode: bool) -> dict:
    """Removes it, also one that is being made, and what a failed bind has left."""
    is_known = not subject.is_told or fetched(subject) is not None or subject.broker.last_state(subject.path) in ("in progress", "failed")
    if not is_known:
        return UNCHANGED
    removed = {"changed": True, "diff": {"before": {"parameters": subject.params["parameters"]}, "after": {}}}
    if check_mode:
        return removed
    try:
        answer = patiently(subject, "DELETE", {**subject.offer.ids, **subject.incomplete})
    except osb.Refused as error:
        if error.status != 410:
            raise
        return UNCHANGED
    if answer.status == 202 and not subject.params["wait"]:
        return {**removed, "in_progress": True, "operation": answer.body.get("operation")}
    if answer.status == 202:
        settle(subject, answer, "unbind of")
    return removed
