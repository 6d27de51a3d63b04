"""The rules for an instance without the broker: what an action may begin with, and what its end does to the instance.

As in the broker, names, ports and secrets are given before anything runs, and what is desired becomes the instance's on success only: a run
that was killed is simply begun again. Works on state files' contents alone; files and locks are standalone_states.py's.
"""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Callable
from secrets import token_urlsafe

from ansible_collections.apb.catalog.plugins.module_utils import service
from ansible_collections.apb.catalog.plugins.module_utils import standalone_holder as holders
from ansible_collections.apb.catalog.plugins.module_utils.service_errors import ParameterError
from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError
from ansible_collections.apb.catalog.plugins.module_utils.standalone_request import Request

LOCAL = "localhost"
TARGET = "standalone"  # what stands for a broker's target


def begin(request: Request, record: dict | None, others: list[dict], load: Callable[[str], service.Service], run: dict) -> dict | None:
    """The instance's record as this action begins; None when there is nothing to do. Raises what refusals() names."""
    if record is None and request.action in ("unbind", "deprovision"):
        return None
    if record is None and request.action != "provision":
        raise StandaloneError(
            f"instance {request.name} is not known here: provision it first, or name its directory by apb_state_directory"
        )
    found = _new(request, others, load) if record is None else copy.deepcopy(record)
    _require_same_instance(request, found, load)
    if not holders.is_free(found.get("run"), run):
        holder = found["run"]
        raise StandaloneError(
            f"instance {request.name} is busy: {holder['action']} by process {holder['pid']} for host {holder['host']} has not ended"
        )
    if found["state"] == "deprovisioning" and request.action not in ("deprovision", "unbind"):
        raise StandaloneError(f"instance {request.name} is being removed: run apb.catalog.deprovision again until it is gone")
    _BEGIN[request.action](request, found, load)
    if request.action == "unbind" and request.binding not in found["bindings"]:
        return None
    found["epoch"] = max(found["epoch"] + 1, int(time.time() * 1000))
    found["run"] = {**run, "action": request.action, "binding": request.binding}
    found["published"] = {}
    return found


def _new(request: Request, others: list[dict], load) -> dict:
    if not request.role or not request.plan:
        raise StandaloneError(f"instance {request.name} is new: name a service and a plan, -e apb_service=redis -e apb_plan=redis-standard")
    plan = _plan(load(request.role), request.plan)
    mode = next(iter(service.MODES_OF[plan.tenancy]), None)
    if mode is None:
        raise StandaloneError(f"apb_plan: plan {plan.name} is {plan.tenancy}: there is nothing to run for it")
    parameters = service.create_parameters(plan, request.requested)
    instance_id = str(uuid.uuid4())
    instance = {
        "id": instance_id,
        "name": request.name,
        "names": service.names(plan.service_name, instance_id),
        **_placed(request, plan, mode, parameters, others),
        "secrets": service.secrets(plan, parameters),
        "outputs": {},
        "context": {},
    }
    return {
        "apb": 1,
        "state": "provisioning",
        "role": plan.role,
        "mode": mode,
        "plan": plan.snapshot(),
        "parameters": parameters,
        "instance": {**instance, "connection": service.connection(plan, instance, parameters)},
        "dashboard_url": None,
        "bindings": {},
        "epoch": 0,
    }


def _plan(found: service.Service, name: str) -> service.Plan:
    try:
        return found.plan(name)
    except KeyError as error:
        raise StandaloneError(f"apb_plan: {error.args[0]}") from error


def _placed(request: Request, plan: service.Plan, mode: str, parameters: dict, others: list[dict]) -> dict:
    """Where a new instance goes: host (its address for clients), ports, placement."""
    if mode == "shared":
        server = _server(request)
        placement = {"target": TARGET, "host": LOCAL, "address": server["host"]}
        return {"host": server["host"], "ports": {"client": int(server["port"])}, "placement": placement}
    needs = service.needs(plan, parameters)
    if needs["copies"] > 1:
        raise StandaloneError(f"plan {plan.name} needs {needs['copies']} hosts: only the broker places an instance on several")
    address = request.address or ("127.0.0.1" if request.host == LOCAL else request.host)
    ports, place = _ports(request, needs["ports"], others), {"host": request.host, "address": address, "directory": request.directory}
    return {"host": address, "ports": ports, "placement": {"target": TARGET, **place, "copies": [{**place, "ports": ports}]}}


def _server(request: Request) -> dict:
    if request.server is None:
        raise StandaloneError("apb_server is missing: it names your server (host, port) and the account to use there (username, password)")
    return request.server


def _ports(request: Request, names: list[str], others: list[dict]) -> dict:
    """Ports that no other instance has on this host. One that is busy there makes the run fail: it never moves by itself."""
    neighbours = [
        other["instance"] for other in others if other["instance"]["placement"]["host"] == request.host and other["mode"] == "host"
    ]
    taken = {port for neighbour in neighbours for port in neighbour["ports"].values()}
    free = [port for port in request.ports if port not in taken][: len(names)]
    if len(free) < len(names):
        raise StandaloneError(
            f"apb_port_range: {request.ports[0]}-{request.ports[-1]} has no {len(names)} free port(s) left on {request.host}"
        )
    return dict(zip(names, free, strict=True))


def _require_same_instance(request: Request, found: dict, load) -> None:
    """What an instance is and where it lives stay as they were created."""
    place, name = found["instance"]["placement"], request.name
    if request.role and request.role != found["role"]:
        raise StandaloneError(f"instance {name} is of service {found['role']}, not of {request.role}: choose another apb_name")
    if found["mode"] == "shared":
        server = request.server
        if server is None:
            _server(request)
        elif (server["host"], int(server["port"])) != (found["instance"]["host"], found["instance"]["ports"]["client"]):
            raise StandaloneError(
                f"instance {name} lives on server {found['instance']['host']}:{found['instance']['ports']['client']}, "
                f"not on apb_server {server['host']}:{server['port']}"
            )
    elif request.host != place["host"] and request.action in ("provision", "update", "deprovision"):
        raise StandaloneError(f"instance {name} lives on host {place['host']}, not on {request.host}: it does not move by itself")


def _begin_provision(request: Request, found: dict, _load) -> None:
    plan = service.plan_from_snapshot(found["plan"])
    cure = "use apb.catalog.update" if found["state"] == "ready" else "run apb.catalog.deprovision first: it was not finished"
    if request.plan and request.plan != plan.name:
        raise StandaloneError(f"instance {request.name} exists with plan {plan.name}, not {request.plan}: {cure}")
    if not _same(service.create_parameters(plan, request.requested), found["parameters"]):
        raise StandaloneError(f"instance {request.name} exists with other parameters: {cure}")
    found["desired"] = {"plan": found["plan"], "parameters": found["parameters"], "secrets": found["instance"]["secrets"]}


def _begin_update(request: Request, found: dict, load) -> None:
    if found["state"] != "ready":
        raise StandaloneError(f"instance {request.name} is not provisioned yet: run apb.catalog.provision to its end first")
    plan = service.plan_from_snapshot(found["plan"])
    if request.plan and request.plan != plan.name:
        plan = _next_plan(plan, request, load(found["role"]))
    parameters = service.update_parameters(plan, found["parameters"], request.requested)
    kept = found["instance"]["secrets"]
    desired = service.secrets(plan, parameters, kept)
    found["instance"]["secrets"] = {**desired, **kept}  # new ones are known before anything runs with them
    found["desired"] = {"plan": plan.snapshot(), "parameters": parameters, "secrets": desired}


def _next_plan(current: service.Plan, request: Request, found: service.Service) -> service.Plan:
    plan = _plan(found, request.plan)
    if plan.name not in current.updates_to:
        allowed = ", ".join(current.updates_to) or "no other plan"
        raise StandaloneError(
            f"apb_plan: {plan.service_name} does not change from {current.name} to {plan.name}; it may change to {allowed}"
        )
    if service.MODES_OF[plan.tenancy] != service.MODES_OF[current.tenancy]:
        raise StandaloneError(f"apb_plan: {plan.name} is {plan.tenancy}, so an instance of {current.name} cannot move to it")
    return plan


def _begin_bind(request: Request, found: dict, _load) -> None:
    if found["state"] != "ready":
        raise StandaloneError(f"instance {request.name} is not provisioned yet: run apb.catalog.provision to its end first")
    plan = service.plan_from_snapshot(found["plan"])
    if not plan.bindable:
        raise StandaloneError(f"service {plan.service_name} cannot be bound: its connection is all there is")
    parameters = service.bind_parameters(plan, request.requested)
    known = found["bindings"].get(request.binding)
    if known is None:
        found["bindings"][request.binding] = _new_binding(found["instance"]["id"], parameters)
    elif not _same(known["parameters"], parameters):
        raise StandaloneError(
            f"binding {request.binding} exists with other parameters: run apb.catalog.unbind first, or choose another name"
        )
    elif known["state"] == "unbinding":
        raise StandaloneError(f"binding {request.binding} is being removed: run apb.catalog.unbind again until it is gone")


def _new_binding(instance_id: str, parameters: dict) -> dict:
    binding_id = str(uuid.uuid4())
    return {
        "state": "binding",
        "id": binding_id,
        "username": service.binding_username(instance_id, binding_id),
        "password": token_urlsafe(24),
        "parameters": parameters,
        "credentials": None,
    }


def _begin_unbind(request: Request, found: dict, _load) -> None:
    if request.binding in found["bindings"]:
        found["bindings"][request.binding]["state"] = "unbinding"


def _begin_verify(request: Request, found: dict, _load) -> None:
    if found["state"] != "ready":
        raise StandaloneError(f"instance {request.name} is not provisioned yet: run apb.catalog.provision to its end first")


def _begin_deprovision(_request: Request, found: dict, _load) -> None:
    found["state"] = "deprovisioning"


_BEGIN = {
    "provision": _begin_provision,
    "update": _begin_update,
    "bind": _begin_bind,
    "unbind": _begin_unbind,
    "deprovision": _begin_deprovision,
    "verify": _begin_verify,
}


def _same(one, other) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def variables(found: dict) -> dict:
    """What the role gets: the apb_* variables of docs/writing-a-service.md, but for the operator's apb_server."""
    action, binding = found["run"]["action"], found["run"]["binding"]
    plan = service.plan_from_snapshot(found["plan"])
    desired = found["desired"] if action in ("provision", "update") else None
    instance = {**found["instance"], **({"secrets": desired["secrets"]} if desired else {})}
    made = {
        "apb_action": action,
        "apb_mode": found["mode"],
        "apb_epoch": found["epoch"],
        "apb_role": found["role"],
        "apb_service": plan.service_name,
        "apb_plan": desired["plan"]["name"] if desired else plan.name,
        "apb_parameters": desired["parameters"] if desired else found["parameters"],
        "apb_instance": instance,
        "apb_bindings": [_described(known) for known in found["bindings"].values() if known["state"] == "ready"],
    }
    if binding is not None:
        made["apb_binding"] = _described(found["bindings"][binding])
    if action == "update":
        made["apb_previous"] = {"parameters": found["parameters"], "plan": plan.name}
    return made


def _described(binding: dict) -> dict:
    return {name: binding[name] for name in ("id", "username", "password", "parameters")}


def tasks_from(found: dict) -> str:
    """The role's file for the action that began."""
    action = found["run"]["action"]
    return f"{action}.yml" if action in ("bind", "unbind", "verify") else f"{found['mode']}/{action}.yml"


def publish(record: dict | None, epoch: int, published: dict) -> dict:
    """The record with what the role published. Raises StandaloneError when another run went on with the instance meanwhile."""
    found = _of_run(record, epoch)
    for kind, value in published.items():
        before = found["published"].get(kind)
        found["published"][kind] = {**before, **value} if isinstance(before, dict) else value
    return found


def _of_run(record: dict | None, epoch: int) -> dict:
    if record is None or record["epoch"] != epoch or "run" not in record:
        raise StandaloneError("another run went on with this instance meanwhile: this one changes nothing any more")
    return copy.deepcopy(record)


def finish(record: dict | None, epoch: int) -> dict | None:
    """The record after its action succeeded; None when the instance is gone. Raises StandaloneError, CredentialsError."""
    found = _of_run(record, epoch)
    run, published = found.pop("run"), found.pop("published")
    return _FINISH[run["action"]](found, run, published)


def _finish_instance(found: dict, _run: dict, published: dict) -> dict:
    desired, instance = found.pop("desired"), found["instance"]
    plan = service.plan_from_snapshot(desired["plan"])
    late = published.get("connection", {})
    service.check_late(plan, late)
    kept = {name: value for name, value in instance["connection"].items() if name in plan.late}
    instance["secrets"] = desired["secrets"]
    instance["outputs"] = {**instance["outputs"], **published.get("outputs", {})}
    instance["connection"] = {**service.connection(plan, instance, desired["parameters"]), **kept, **late}
    found.update(state="ready", plan=desired["plan"], parameters=desired["parameters"])
    found["dashboard_url"] = published.get("dashboard_url", found["dashboard_url"])
    return found


def _finish_bind(found: dict, run: dict, published: dict) -> dict:
    if "credentials" not in published:
        raise service.CredentialsError("the role published no credentials")
    service.check_credentials(service.plan_from_snapshot(found["plan"]), published["credentials"])
    found["bindings"][run["binding"]].update(state="ready", credentials=published["credentials"])
    return found


def _finish_unbind(found: dict, run: dict, _published: dict) -> dict:
    del found["bindings"][run["binding"]]
    return found


_FINISH = {
    "provision": _finish_instance,
    "update": _finish_instance,
    "bind": _finish_bind,
    "unbind": _finish_unbind,
    "deprovision": lambda *_: None,
    "verify": lambda found, *_: found,
}


def give_back(record: dict | None, epoch: int) -> dict:
    """The record as its binding is taken back in the same run, for credentials that cannot be handed out."""
    found = _of_run(record, epoch)
    found["run"]["action"] = "unbind"
    found["bindings"][found["run"]["binding"]]["state"] = "unbinding"
    found["published"] = {}
    return found


def is_changed(before: dict | None, after: dict | None) -> bool:
    """Whether anything but the bookkeeping of runs differs."""
    return _lasting(before) != _lasting(after)


def _lasting(record: dict | None):
    passing = ("epoch", "run", "published", "desired")
    return None if record is None else {name: value for name, value in record.items() if name not in passing}


def shown(record: dict, path: str, binding: str | None) -> dict:
    """What people may see at the end. Secrets stay in the file."""
    found = {"instance": record["instance"]["name"], "plan": record["plan"]["name"], "connection": record["instance"]["connection"]}
    if record["dashboard_url"]:
        found["dashboard_url"] = record["dashboard_url"]
    if binding in record["bindings"]:
        found["credentials"] = {"file": path, "json_path": f"$.bindings['{binding}'].credentials"}
    return found


def refusals() -> tuple:
    """What begin and finish raise for people to read."""
    return StandaloneError, ParameterError, service.ServiceError, service.CredentialsError
