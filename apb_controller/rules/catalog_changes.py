"""What has to be done so that the classes and plans in the cluster are those that a catalog wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apb_controller.rules import catalog
from apb_controller.scopes import Scope

Object = dict[str, Any]
KEPT = "defaultProvisionParameters"  # the operator's word, which no catalog has


@dataclass(frozen=True)
class Change:
    """One write: `create` and `update` carry the whole object, `mark-removed` and `unmark-removed` are status writes."""

    verb: str
    kind: str
    name: str
    object: Object | None = None


@dataclass(frozen=True)
class Changes:
    """All writes, classes before their plans, and what cannot be written because it is another broker's."""

    changes: list[Change] = field(default_factory=list)
    collisions: list[str] = field(default_factory=list)


def between(wanted: catalog.Wanted, classes: Mapping[str, Object], plans: Mapping[str, Object], broker: Object, scope: Scope) -> Changes:
    """The changes of one broker. `classes` and `plans`: all there are in the scope, other brokers' too, by their Kubernetes names.

    Objects without an owner are somebody's own and stay, unless they bear the very name that the catalog gives: then they were
    made before catalogs' objects had owners, and get one.
    """
    changes = Changes()
    for kind, want, present in ((scope.service_class, wanted.classes, classes), (scope.plan, wanted.plans, plans)):
        for name, made in want.items():
            _want(changes, kind, made, present.get(name), broker, scope)
        for name, there in present.items():
            if name not in want and is_owned(there, broker) and not _is_removed(there):
                changes.changes.append(Change("mark-removed", kind, name))
    return changes


def is_to_go(there: Object, *, is_referred_to: bool) -> bool:
    """Whether a class or plan is to be deleted: it has left its catalog, and no instance refers to it any more."""
    return _is_removed(there) and not is_referred_to and not there["metadata"].get("deletionTimestamp")


def is_owned(there: Object, broker: Object) -> bool:
    """Whether the object came from that broker's catalog, and not from people."""
    owners = there["metadata"].get("ownerReferences") or []
    return any(one.get("controller") and one.get("uid") == broker["metadata"]["uid"] for one in owners)


def _want(changes: Changes, kind: str, made: Object, there: Object | None, broker: Object, scope: Scope) -> None:
    name = made["metadata"]["name"]
    if there is None:
        changes.changes.append(Change("create", kind, name, made))
        return
    holder = there["spec"].get(scope.broker_field)
    if holder != broker["metadata"]["name"]:
        changes.collisions.append(f'{catalog.described(kind, made)} already exists for Broker "{holder}"')
        return
    if (joined := _joined(made, there)) != there:
        changes.changes.append(Change("update", kind, name, joined))
    if _is_removed(there):
        changes.changes.append(Change("unmark-removed", kind, name))


def _joined(made: Object, there: Object) -> Object:
    """The object that is there, with the catalog's words; labels, annotations and owners of others stay."""
    kept = {KEPT: there["spec"][KEPT]} if KEPT in there["spec"] else {}
    metadata = there["metadata"]
    [owner] = made["metadata"]["ownerReferences"]
    others = [one for one in metadata.get("ownerReferences") or [] if not one.get("controller")]
    return {
        **there,
        "metadata": {
            **metadata,
            "labels": {**(metadata.get("labels") or {}), **made["metadata"]["labels"]},
            "ownerReferences": [owner, *others],
        },
        "spec": {**made["spec"], **kept},
    }


def _is_removed(there: Object) -> bool:
    return bool((there.get("status") or {}).get("removedFromBrokerCatalog"))
