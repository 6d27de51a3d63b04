"""Finds the role of a service: `redis` means apb.catalog.redis, a name with dots a role of another collection, a path a role anywhere."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import service
from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError

COLLECTION = "apb.catalog"


def full_name(given: str | None, directory: str | None = None) -> str | None:
    """What include_role takes from anywhere. `directory` is where the play found a role without a collection."""
    if not given:
        return None
    if "/" in given:
        return str(Path(given).expanduser().absolute())
    if "." in given:
        return given
    return str(Path(directory).absolute()) if directory else f"{COLLECTION}.{given}"


def load(role: str) -> service.Service:
    """The service of the role of this full name. Raises StandaloneError, ServiceError."""
    description = directory(role) / "meta" / "service.yml"
    if not description.is_file():
        raise StandaloneError(f"apb_service: {role} is no service: {description} does not exist")
    return service.load(description, role=role)


def directory(role: str) -> Path:
    """Where the role of this full name is. Raises StandaloneError."""
    if "/" in role:
        return Path(role)
    from ansible.utils.collection_loader._collection_finder import _get_collection_role_path

    found = _get_collection_role_path(role)
    if found is None:
        raise StandaloneError(f"there is no role {role}: install its collection, or name the role's directory")
    return Path(found[1])
