"""Finds a service's role on disk, in the order Ansible would, without importing Ansible.

A role `namespace.collection.role` belongs to an installed collection; a plain name is a folder in one of apb.yml's services_path.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import service_yaml

from apb_broker.catalog.errors import CatalogError

DEFAULT_COLLECTIONS = ("~/.ansible/collections", "/usr/share/ansible/collections")


@dataclass(frozen=True)
class FoundRole:
    """A role's folder. `name` is what `include_role` takes: the full name, or a local role's absolute path."""

    name: str
    directory: Path
    version: str

    @property
    def description(self) -> Path:
        """Its service.yml."""
        return self.directory / "meta" / "service.yml"


def find(name: str, services_path: list[Path]) -> FoundRole:
    """The role of this name, which describes a service. Raises CatalogError saying where it was looked for."""
    role = _found(name, services_path)
    if not role.description.is_file():
        raise CatalogError(f"role {role.name}: {role.directory} has no meta/service.yml, so it is not a service")
    return role


def folder(name: str, services_path: list[Path]) -> Path:
    """The folder of any role, a service or not. Raises CatalogError."""
    return _found(name, services_path).directory


def _found(name: str, services_path: list[Path]) -> FoundRole:
    return _of_collection(name) if "." in name else _local(name, services_path)


def collection_folders() -> Iterator[Path]:
    """Every `ansible_collections` folder, first match wins: ANSIBLE_COLLECTIONS_PATH (or Ansible's defaults), then Python's path."""
    configured = os.environ.get("ANSIBLE_COLLECTIONS_PATH")
    before = configured.split(os.pathsep) if configured else DEFAULT_COLLECTIONS
    for folder in (*before, *sys.path):
        path = Path(folder or ".").expanduser().absolute()
        yield path if path.name == "ansible_collections" else path / "ansible_collections"


def _of_collection(name: str) -> FoundRole:
    namespace, collection, role = name.split(".")
    # As in Ansible, the first folder that holds the collection decides, even where a later one has the role too.
    root = next((folder / namespace / collection for folder in collection_folders() if (folder / namespace / collection).is_dir()), None)
    if root is None:
        raise CatalogError(
            f"role {name}: collection {namespace}.{collection} is not installed (looked in ANSIBLE_COLLECTIONS_PATH and Python's path)"
        )
    directory = root / "roles" / role
    if not directory.is_dir():
        raise CatalogError(f"role {name}: collection {namespace}.{collection} in {root} has no such role")
    return FoundRole(name, directory, _version(root))


def _local(name: str, services_path: list[Path]) -> FoundRole:
    directory = next((folder / name for folder in services_path if (folder / name).is_dir()), None)
    if directory is None:
        looked = ", ".join(map(str, services_path)) or "services_path is empty"
        raise CatalogError(f"role {name}: not found ({looked}); a role of a collection is named namespace.collection.role")
    return FoundRole(str(directory), directory, "")


def _version(collection: Path) -> str:
    """A collection's version: installed ones have MANIFEST.json, a checkout has galaxy.yml; "" when neither says."""
    try:
        if (collection / "MANIFEST.json").is_file():
            info = json.loads((collection / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]
        elif (collection / "galaxy.yml").is_file():
            info = service_yaml.read(collection / "galaxy.yml")
        else:
            return ""
        return str(info.get("version") or "")
    except (OSError, ValueError, LookupError, AttributeError, service_yaml.YamlError) as error:
        raise CatalogError(f"collection in {collection}: its version cannot be read: {error}") from error
