"""Objects of one kind as they were last seen, found by name and by indexes.

The newest version of an object wins, wherever it comes from: what a write returns is put here at once, so that nobody here looks at an
object as it was before the own write.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

Object = dict[str, Any]
MOST_GONE = 4096  # objects whose end is remembered
Name = tuple[str, str]  # namespace ("" for what has none) and name
Index = Callable[[Object], Iterable[Hashable]]
Listener = Callable[[Object | None, Object | None], None]


def name_of(thing: Object) -> Name:
    """What it is kept under."""
    return thing["metadata"].get("namespace") or "", thing["metadata"]["name"]


def version_of(thing: Object) -> int:
    """Its version: API servers promise since 1.35 what they have always done, that it is a number that grows."""
    return int(thing["metadata"]["resourceVersion"])


class Store:
    """Of one kind. `on_change` is called with the object before and after each change; objects are not to be changed by who gets them."""

    def __init__(self, indexes: Mapping[str, Index] | None = None, on_change: Listener | None = None) -> None:
        self._objects: dict[Name, Object] = {}
        self._indexes = dict(indexes or {})
        self._found: dict[str, dict[Hashable, dict[Name, None]]] = {index: {} for index in self._indexes}
        self._on_change = on_change or (lambda before, after: None)
        self._newest = 0
        self._gone: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def get(self, namespace: str, name: str) -> Object | None:
        """The object; None if there is none."""
        return self._objects.get((namespace, name))

    def by(self, index: str, value: Hashable) -> list[Object]:
        """The objects that an index has under that value."""
        return [self._objects[name] for name in self._found[index].get(value, ())]

    def has(self, index: str, value: Hashable) -> bool:
        """Whether an index has anything under that value."""
        return value in self._found[index]

    @property
    def newest(self) -> int:
        """The highest version that was seen."""
        return self._newest

    def put(self, thing: Object) -> None:
        """The object as it is now, unless a newer one is known."""
        before = self._objects.get(name_of(thing))
        version = version_of(thing)
        self._newest = max(self._newest, version)
        if thing["metadata"]["uid"] in self._gone:
            return  # the answer to a write that came after the news of the end
        if before is None or version_of(before) < version:
            self._set(before, thing)

    def gone(self, thing: Object) -> None:
        """The object is there no more, and never again; another one of the name stays."""
        self._gone[thing["metadata"]["uid"]] = None
        if len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]
        before = self._objects.get(name_of(thing))
        if before is not None and before["metadata"]["uid"] == thing["metadata"]["uid"]:
            self._drop(before)

    def replace(self, things: Iterable[Object], version: int, newest_before: int) -> None:
        """All objects there are, as a list said that was made at `version`, when `newest` was `newest_before`.

        What has been put since then stays, unless the server's history was put back (a restored backup): then only the list counts.
        """
        was_put_back = version < newest_before
        listed = {name_of(thing): thing for thing in things}
        if was_put_back:
            self._newest = version
        for name, before in list(self._objects.items()):
            if name in listed:
                continue
            if was_put_back:
                self._drop(before)
            elif version_of(before) <= version:
                self.gone(before)
        for name, thing in listed.items():
            known = self._objects.get(name)
            if was_put_back and known is not None:
                self._set(known, thing)
            else:
                self.put(thing)

    def _set(self, before: Object | None, after: Object) -> None:
        name = name_of(after)
        if before is not None:
            self._unindex(name, before)
        self._objects[name] = after
        for index, values in self._indexes.items():
            found = self._found[index]
            for value in values(after):
                found.setdefault(value, {})[name] = None
        self._on_change(before, after)

    def _drop(self, before: Object) -> None:
        name = name_of(before)
        self._unindex(name, before)
        del self._objects[name]
        self._on_change(before, None)

    def _unindex(self, name: Name, thing: Object) -> None:
        for index, values in self._indexes.items():
            found = self._found[index]
            for value in values(thing):
                names = found.get(value)
                if names is not None:
                    names.pop(name, None)
                    if not names:
                        del found[value]
