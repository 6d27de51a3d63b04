"""Objects as they were last seen: the newest version wins, indexes follow, and each change is told once."""

import pytest

from apb_controller.runtime.store import Store


def thing(name, version, uid=None, colour=None):
    metadata = {"name": name, "namespace": "ns", "uid": uid or f"uid of {name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"colour": colour}}


@pytest.fixture
def told():
    """(before, after) of each change, by their versions."""
    return []


@pytest.fixture
def store(told):
    def version(one):
        return one and int(one["metadata"]["resourceVersion"])

    indexes = {"colour": lambda one: [one["spec"]["colour"]] if one["spec"]["colour"] else []}
    return Store(indexes, lambda before, after: told.append((version(before), version(after))))


def test_older_version_is_not_put_over_a_newer_one(store, told):
    """A watch may be behind the own writes; 9 is older than 10."""
    for version in (9, 10, 9, 10):
        store.put(thing("a", version))
    assert store.get("ns", "a")["metadata"]["resourceVersion"] == "10"
    assert told == [(None, 9), (9, 10)]


def test_index_follows_what_objects_become(store):
    """An object is found under its value of now, and under none when it has gone."""
    store.put(thing("a", 1, colour="red"))
    store.put(thing("b", 2, colour="red"))
    store.put(thing("a", 3, colour="blue"))
    assert [one["metadata"]["name"] for one in store.by("colour", "red")] == ["b"]
    assert store.has("colour", "blue")
    store.gone(thing("a", 4, colour="blue"))
    assert not store.has("colour", "blue") and store.by("colour", "blue") == []


def test_end_of_an_object_does_not_end_the_next_one_of_its_name(store):
    """What is told late is told of another uid."""
    store.put(thing("a", 5, uid="second"))
    store.gone(thing("a", 4, uid="first"))
    assert store.get("ns", "a") is not None
    store.gone(thing("a", 6, uid="second"))
    assert store.get("ns", "a") is None


def test_object_that_has_gone_does_not_come_back(store):
    """The answer to the last write may come after the news that the object has gone."""
    store.put(thing("a", 5))
    store.gone(thing("a", 7))
    store.put(thing("a", 6))
    assert store.get("ns", "a") is None
    store.put(thing("a", 8, uid="second"))
    assert store.get("ns", "a") is not None


def test_list_replaces_what_is_not_newer(store, told):
    """What was written after the list was made stays, what the list does not have goes."""
    for name, version in (("gone", 3), ("same", 4), ("written", 12)):
        store.put(thing(name, version))
    told.clear()
    store.replace([thing("same", 4), thing("new", 9)], 10, newest_before=8)
    assert sorted(one["metadata"]["name"] for one in store) == ["new", "same", "written"]
    assert sorted(told, key=str) == [(3, None), (None, 9)]
    store.put(thing("gone", 5))
    assert store.get("ns", "gone") is None, "the answer to a write that came after the list"


def test_list_of_a_restored_server_counts_alone(store):
    """Its versions begin anew: lower ones than were seen before."""
    for name, version in (("lost", 300), ("back", 300)):
        store.put(thing(name, version))
    store.replace([thing("back", 100)], 120, newest_before=store.newest)
    assert [(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in store] == [("back", "100")]
    assert store.newest == 120
