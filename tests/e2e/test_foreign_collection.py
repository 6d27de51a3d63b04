"""A service in somebody else's collection: made, built, installed by ansible-galaxy, and offered by its full name in apb.yml."""

import os
import sys
from pathlib import Path

from tests.e2e import own_services
from tests.e2e.machine import machine

GALAXY = (sys.executable, "-m", "ansible", "galaxy", "collection")


def install_collection(tmp_path: Path) -> Path:
    """other.services with the service hello, installed; the folder for ANSIBLE_COLLECTIONS_PATH."""
    own_services.author(*GALAXY, "init", "other.services", cwd=tmp_path)
    collection = tmp_path / "other" / "services"
    own_services.init("hello", cwd=collection)
    own_services.author(*GALAXY, "build", cwd=collection)
    own_services.author(*GALAXY, "install", "--offline", "--no-deps", "-p", str(tmp_path), "other-services-1.0.0.tar.gz", cwd=collection)
    return tmp_path


def test_service_of_another_collection_is_offered_by_naming_it(tmp_path: Path) -> None:
    """`other.services.hello` in apb.yml is all there is to it; its example runs unedited."""
    folder = install_collection(tmp_path)
    role = folder / "ansible_collections" / "other" / "services" / "roles" / "hello"
    with machine() as made:
        made.environment["ANSIBLE_COLLECTIONS_PATH"] = f"{folder}:{os.environ.get('ANSIBLE_COLLECTIONS_PATH', '')}".rstrip(":")
        own_services.offer(made, {"name": "other.services.hello"}, ["hello/hello-small"])
        made.start()
        own_services.play_example(made, role, "hello", own_services.examples(role)[0])
        made.stop()
