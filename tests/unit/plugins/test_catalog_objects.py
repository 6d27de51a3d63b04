"""How one object is brought to what is wanted: races, waiting, and its end. Against objects that change as a test says."""

import copy
import types

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects
from ansible_collections.apb.catalog.plugins.module_utils.catalog_objects import REMOVE, Changed, ObjectError, Wanted

READY = {"conditions": [{"type": "Ready", "status": "True"}]}
PENDING = {"conditions": [{"type": "Ready", "status": "False", "reason": "Provisioning", "message": "It is being made"}]}
FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "Refused", "message": "no room"}]}


class Objects:
    """One object at most. `comes` are its states as each look finds them, None for none; the last one stays."""

    kind = "ServiceInstance"

    def __init__(self, *comes):
        self.comes, self.written, self.conflicts = list(comes), [], 0

    def read(self, name, namespace):
        assert (name, namespace) == ("cache", "shop")
        return copy.deepcopy(self.comes.pop(0) if len(self.comes) > 1 else self.comes[0])

    def create(self, body):
        self.written.append(("create", body["spec"]))
        return body

    def replace(self, body):
        if self.conflicts:
            self.conflicts -= 1
            raise Changed("again")
        self.written.append(("replace", body["spec"]))
        return body

    def delete(self, name, namespace):
        self.written.append(("delete", name))


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time passes by sleeping alone."""
    passed = [0.0]
    monkeypatch.setattr(catalog_objects.time, "monotonic", lambda: passed[0])
    monkeypatch.setattr(catalog_objects.time, "sleep", lambda seconds: passed.__setitem__(0, passed[0] + seconds))
    return passed


def cache(status=None, *, is_ending=False, **spec):
    ending = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if is_ending else {}
    metadata = {"name": "cache", "namespace": "shop", "generation": 1, **ending}
    return {"kind": "ServiceInstance", "metadata": metadata, "spec": spec, "status": status or {}}


def wanted(objects, *, check_mode=False, is_frozen=False, **params):
    given = {"name": "cache", "namespace": "shop", "wait": True, "wait_timeout": 10, "wait_sleep": 4, **params}
    return Wanted(objects, given, check_mode, is_frozen)


def test_object_is_written_once_more_when_somebody_else_was_faster():
    """What the other wrote is kept: the controller writes into the same spec."""
    objects = Objects(cache(READY, a=1), cache(READY, a=1, ref=7))
    objects.conflicts = 1
    assert wanted(objects, wait=False).present({"a": 2, "b": REMOVE, "c": None})["changed"]
    assert objects.written == [("replace", {"a": 2, "ref": 7})]


def test_object_that_somebody_else_changes_all_the_time_is_told():
    """After some attempts."""
    objects = Objects(cache(READY, a=1))
    objects.conflicts = 99
    with pytest.raises(Changed, match="ServiceInstance shop/cache is being changed by somebody else all the time: run this again"):
        wanted(objects).present({"a": 2})


def test_object_that_is_so_already_is_only_waited_for(clock):
    """An earlier run may not have waited."""
    objects = Objects(cache(PENDING, a=1), cache(PENDING, a=1), cache(READY, a=1))
    result = wanted(objects).present({"a": 1})
    assert (result["changed"], objects.written, clock[0]) == (False, [], 4)
    assert result["result"]["status"] == READY


@pytest.mark.parametrize(
    ("status", "told", "seconds"),
    [
        (PENDING, r"^ServiceInstance shop/cache is not ready after 10 s: Provisioning: It is being made$", 10),
        ({}, r"is not ready after 10 s: nothing has looked at it yet: does a service catalog controller run", 10),
        (FAILED, r"^ServiceInstance shop/cache has failed: Refused: no room$", 0),
    ],
)
def test_object_that_does_not_become_ready_is_told_with_the_reason(clock, status, told, seconds):
    """At once when nothing will be done any more."""
    with pytest.raises(ObjectError, match=told) as failed:
        wanted(Objects(cache(status, a=1))).present({"a": 1})
    assert clock[0] == seconds
    assert failed.value.found["status"] == status


def test_object_that_is_ending_is_made_anew_after_its_end(clock):
    """Or told to be ending, when nobody waits."""
    objects = Objects(cache(is_ending=True), cache(is_ending=True), None, cache(READY))
    assert wanted(objects).present({"a": 1})["changed"]
    assert (objects.written, clock[0]) == ([("create", {"a": 1})], 4)
    for waiting in ({"wait": False}, {"check_mode": True}):
        with pytest.raises(ObjectError, match="is being deleted: run this again when it is gone"):
            wanted(Objects(cache(is_ending=True)), **waiting).present({"a": 1})


def test_object_that_is_deleted_while_it_is_waited_for_is_told():
    """By somebody else."""
    with pytest.raises(ObjectError, match="was deleted by somebody else while it was waited for"):
        wanted(Objects(cache(PENDING, a=1), None)).present({"a": 1})


def test_spec_that_cannot_change_is_not_changed():
    """The fields are named, not their values."""
    objects = Objects(cache(READY, a="canary", b=1))
    with pytest.raises(ObjectError, match=r"is there with another a, c, which cannot be changed: choose another name") as refused:
        wanted(objects, is_frozen=True).present({"a": 2, "b": 1, "c": 3})
    assert "canary" not in str(refused.value)
    assert not wanted(objects, is_frozen=True).present({"b": 1})["changed"]
    assert objects.written == []


def test_end_of_an_object_is_waited_for(clock):
    """What keeps it is told; what is ending already is not changed by it."""
    objects = Objects(cache(READY), cache(PENDING, is_ending=True), None)
    assert wanted(objects).absent()["changed"]
    assert (objects.written, clock[0]) == ([("delete", "cache")], 4)
    assert not wanted(Objects(None)).absent()["changed"]
    ending = Objects(cache(is_ending=True), None)
    assert not wanted(ending).absent()["changed"]
    assert ending.written == []
    with pytest.raises(ObjectError, match="is not gone after 10 s: Provisioning: It is being made"):
        wanted(Objects(cache(PENDING, is_ending=True))).absent()


def test_check_mode_waits_for_nothing(clock):
    """What was not done does not become ready."""
    objects = Objects(cache(PENDING, a=1))
    assert wanted(objects, check_mode=True).present({"a": 2})["diff"] == {"before": {"spec": {"a": 1}}, "after": {"spec": {"a": 2}}}
    assert wanted(objects, check_mode=True).absent()["changed"]
    assert clock[0] == 0


class Client:
    """One that lists these names in pages, and forgets what it was listing after `remembers` of them."""

    def __init__(self, *names, remembers=99):
        self.names, self.remembers, self.asked = names, remembers, []

    def resource(self, kind, api_version):
        return f"{api_version} {kind}"

    def get(self, _resource, *, limit, _continue, **asked):
        self.asked.append((limit, _continue, asked))
        begin = int(_continue or 0)
        if begin and len(self.asked) > self.remembers:
            raise catalog_objects.GoneError(types.SimpleNamespace(status=410, reason="Expired", body="{}", headers={}))
        end = begin + limit if limit else len(self.names)
        rest = {"continue": str(end)} if end < len(self.names) else {}
        page = {"metadata": rest, "items": [{"metadata": {"name": name}} for name in self.names[begin:end]]}
        return types.SimpleNamespace(to_dict=lambda: page)


@pytest.mark.parametrize(
    ("remembers", "asked"),
    [(99, [(2, None), (2, "2"), (2, "4")]), (2, [(2, None), (2, "2"), (2, "4"), (None, None)])],
    ids=["all", "forgotten"],
)
def test_objects_are_listed_in_pages(monkeypatch, remembers, asked):
    """In the order of their names; all at once when the server forgets meanwhile what it was listing (410)."""
    monkeypatch.setattr(catalog_objects, "PAGE", 2)
    client = Client("e", "d", "c", "b", "a", remembers=remembers)
    found = catalog_objects.Objects(client, "ServiceInstance").list("shop", ["team=a", "tier=b"])
    assert [each["metadata"]["name"] for each in found] == list("abcde")
    assert {each["kind"] for each in found} == {"ServiceInstance"}
    assert [each[:2] for each in client.asked] == asked
    assert all(each[2] == {"namespace": "shop", "label_selector": "team=a,tier=b"} for each in client.asked)
