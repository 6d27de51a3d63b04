"""The controller's door to the API server: pages, watches, preconditions and events, on a real one."""

import asyncio
import contextlib
import json
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from apb_controller.kube import errors, objects, patches, resources
from apb_controller.kube.api import Api
from apb_controller.kube.events import COMBINED, Events
from apb_controller.rules.steps import Event
from tests import ports
from tests.cluster.apis import on
from tests.cluster.catalog import Catalog

pytestmark = pytest.mark.cluster


def config_map(space: Catalog, name: str, **data: str) -> objects.Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": space.namespace}, "data": data}


def test_lists_are_read_in_pages_and_watches_go_on_from_there(space: Catalog, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All objects, whatever a page holds; then what happens to them, without what managers of fields leave."""
    monkeypatch.setattr(objects, "PAGE", 2)

    async def work(api: Api) -> None:
        for number in range(5):
            await objects.create(api, resources.CONFIG_MAPS, config_map(space, f"one-{number}"))
        found, version = await objects.all_of(api, resources.CONFIG_MAPS)
        own = [each["metadata"]["name"] for each in found if each["metadata"]["namespace"] == space.namespace]
        assert {f"one-{number}" for number in range(5)} <= set(own)
        assert all("managedFields" not in each["metadata"] for each in found)
        watch = objects.changes_since(api, resources.CONFIG_MAPS, version)
        await objects.create(api, resources.CONFIG_MAPS, config_map(space, "another"))
        await objects.delete(api, resources.CONFIG_MAPS, space.namespace, "another", None)
        told = [await own_event(watch, space) for _ in range(2)]
        assert told == [("ADDED", "another"), ("DELETED", "another")]
        await watch.aclose()

    on(kubeconfig, work)


async def own_event(watch: AsyncIterator[tuple[str, objects.Object]], space: Catalog) -> tuple[str, str]:
    """The next event of the namespace."""
    async with asyncio.timeout(30):
        async for event, thing in watch:
            if thing["metadata"].get("namespace") == space.namespace:
                return event, thing["metadata"]["name"]
    raise AssertionError("the watch ended")


def test_secrets_are_listed_without_what_they_hold(space: Catalog, rights: Path) -> None:
    """Nothing of their data passes the wire when they are listed, watched, made or changed."""
    space.put_secret("one", password="of nobody")

    async def work(api: Api) -> None:
        found, _ = await objects.all_of(api, resources.SECRETS)
        [one] = [each for each in found if (each["metadata"]["namespace"], each["metadata"]["name"]) == (space.namespace, "one")]
        assert set(one) == {"kind", "apiVersion", "metadata"}
        changed = await objects.patch(api, resources.SECRETS, one, patches.of_content(one, parts={"data": {"a": "Yg=="}}))
        assert set(changed) == {"kind", "apiVersion", "metadata"}

    on(rights, work)
    assert space.credentials("one") == {"a": "b"}


def test_writes_are_refused_when_the_object_is_another_one(space: Catalog, kubeconfig: Path) -> None:
    """A version or a uid that is not there any more is a conflict, for changes and deletions; what is missing is not found."""

    async def work(api: Api) -> None:
        maps = resources.CONFIG_MAPS
        old = await objects.create(api, maps, config_map(space, "one", a="1"))
        new = await objects.patch(api, maps, old, patches.of_content(old, parts={"data": {"a": "2"}}))
        for refused in (
            objects.patch(api, maps, old, patches.of_content(old, parts={"data": {"a": "3"}})),
            objects.delete(api, maps, space.namespace, "one", "another uid"),
            objects.delete(api, maps, space.namespace, "one", None, old["metadata"]["resourceVersion"]),
        ):
            with pytest.raises(errors.Conflict):
                await refused
        with pytest.raises(errors.AlreadyExists):
            await objects.create(api, maps, config_map(space, "one"))
        assert await objects.delete(api, maps, space.namespace, "one", new["metadata"]["uid"]) is None
        assert await objects.delete(api, maps, space.namespace, "one", None) is None
        with pytest.raises(errors.NotFound):
            await objects.read(api, maps, space.namespace, "one")

    on(kubeconfig, work)


def test_events_that_are_similar_are_combined_and_floods_limited(space: Catalog, kubeconfig: Path) -> None:
    """As client-go does: from the tenth message of a reason on one event stands for them; 25 of an object, then no more."""
    about = {"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ServiceInstance"}
    similar, flooded = (
        {**about, "metadata": {"name": name, "namespace": space.namespace, "uid": name, "resourceVersion": "1"}}
        for name in ("similar", "flooded")
    )

    async def work(api: Api) -> None:
        events = Events(api)
        running = asyncio.create_task(events.run())
        for number in range(15):
            events.tell(similar, Event(True, "Failed", f"message {number}"))
        for number in range(40):
            events.tell(flooded, Event(False, f"Reason{number}", "once"))
        await events.flush(60)
        running.cancel()

    on(kubeconfig, work)
    found = {each.message: each.count for each in told(space, "similar")}
    assert len(found) == 10
    assert found[f"{COMBINED}message 14"] == 6
    assert len(told(space, "flooded")) == 25


def told(space: Catalog, name: str):
    return space.core.list_namespaced_event(space.namespace, field_selector=f"involvedObject.name={name}").items


def test_event_that_cannot_be_written_is_in_the_log(capsys: pytest.CaptureFixture[str], kubeconfig: Path) -> None:
    """With its reason and message: its namespace is not there."""

    async def work(api: Api) -> None:
        events = Events(api)
        running = asyncio.create_task(events.run())
        metadata = {"name": "one", "namespace": "not-there", "uid": "u", "resourceVersion": "1"}
        events.tell({"apiVersion": "v1", "kind": "ServiceInstance", "metadata": metadata}, Event(True, "Failed", "the message"))
        await events.flush(30)
        running.cancel()

    on(kubeconfig, work)
    printed = capsys.readouterr()
    assert "an event is not written" in printed.out + printed.err
    assert "the message" in printed.out + printed.err


def test_server_that_is_not_there_is_unavailable(kubeconfig: Path, tmp_path: Path) -> None:
    """And keys that a kubeconfig holds are in no file afterwards."""
    given = yaml.safe_load(kubeconfig.read_text())
    given["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{ports.free()}"
    other = tmp_path / "kubeconfig"
    other.write_text(json.dumps(given))

    async def work(api: Api) -> None:
        with pytest.raises(errors.Unavailable, match="the API server cannot be reached"):
            await objects.read(api, resources.NAMESPACES, None, "default")

    began = time.time()
    on(other, work)
    left = [path for path in Path("/tmp").iterdir() if path.name.startswith("tmp") and _is_new_file(path, began)]
    assert not [path for path in left if b"CERTIFICATE" in path.read_bytes()]


def _is_new_file(path: Path, since: float) -> bool:
    with contextlib.suppress(OSError):
        found = path.stat()
        return stat.S_ISREG(found.st_mode) and found.st_mtime >= since
    return False
