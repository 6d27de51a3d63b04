"""`apb init`: names, places, ids, and all or nothing."""

import re
from pathlib import Path

import pytest
import yaml

from apb_broker.authoring import lint, role, scaffold

GALAXY = "namespace: other\nname: services\nversion: 1.0.0\n"


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    (tmp_path / "galaxy.yml").write_text(GALAXY)
    return tmp_path


def test_role_goes_to_the_collection_around(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below roles/, with a molecule scenario, and named in full for apb.yml."""
    (collection / "docs").mkdir()
    monkeypatch.chdir(collection / "docs")
    made = scaffold.make("my_queue")
    assert made.role == collection / "roles" / "my_queue"
    assert (made.apb_name, made.service) == ("other.services.my_queue", "my-queue")
    assert (collection / "molecule" / "my_queue" / "molecule.yml").is_file()
    assert lint.check(role.find([collection])) == []


def test_role_in_a_services_path_is_named_by_its_folder(tmp_path: Path) -> None:
    """A folder that is not there yet is made; there is no molecule scenario in it."""
    made = scaffold.make("hello", services_path=tmp_path / "services")
    assert made.apb_name == "hello"
    assert [path.name for path in (tmp_path / "services").iterdir()] == ["hello"]


def test_each_service_has_ids_of_its_own(tmp_path: Path) -> None:
    """Ids are never reused, so no two services may start with the same."""
    described = [yaml.safe_load((scaffold.make(name, services_path=tmp_path).role / "meta/service.yml").read_text()) for name in ("a", "b")]
    ids = [found["id"] for one in described for found in (one, *one["plans"])]
    assert len(set(ids)) == 6


def test_nothing_is_left_unfilled(collection: Path) -> None:
    """No file keeps a placeholder, and none the name of another service."""
    made = scaffold.make("box", collection=collection)
    for path in made.files:
        assert not re.search(r"@\w+@", path.read_text()), path


def test_files_are_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    """A role is no secret: other users of the machine (and of apb) may read it."""
    made = scaffold.make("hello", services_path=tmp_path)
    assert made.role.stat().st_mode == (tmp_path / "hello" / "meta").stat().st_mode


@pytest.mark.parametrize("name", ["Hello", "1st", "my-queue", "a__b", "a_", "", "../up", "a" * 31])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    """With what a name may be."""
    with pytest.raises(scaffold.CannotInit, match="cannot be the name of a role: lower-case letters"):
        scaffold.make(name, services_path=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_existing_role_is_refused(tmp_path: Path) -> None:
    """Nothing of it is touched."""
    (tmp_path / "hello").mkdir()
    with pytest.raises(scaffold.CannotInit, match="exists already: choose another name"):
        scaffold.make("hello", services_path=tmp_path)
    assert list((tmp_path / "hello").iterdir()) == []


def test_place_that_is_no_collection_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the options that help."""
    with pytest.raises(scaffold.CannotInit, match=r"has no galaxy\.yml"):
        scaffold.make("hello", collection=tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(scaffold.CannotInit, match="--collection or --services-path"):
        scaffold.make("hello")
