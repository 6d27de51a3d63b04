"""What the machine's tests share: people, a short directory of theirs, and the end of every server in it."""

import contextlib
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("machine_people", Path(__file__).with_name("people.py"))
people = importlib.util.module_from_spec(_spec)
sys.modules["machine_people"] = people  # --import-mode=importlib puts no test folder on the path
_spec.loader.exec_module(people)


@pytest.fixture(scope="session")
def ordinary_user():
    person, reason = people.ordinary()
    if person is None:
        pytest.skip(reason)
    return person


@pytest.fixture(scope="session", params=["myself", "ordinary"])
def person(request):
    """The same behaviour for root (with a system user for PostgreSQL) and for an ordinary user."""
    return people.myself() if request.param == "myself" else request.getfixturevalue("ordinary_user")


@contextlib.contextmanager
def directory_of(person):
    """A directory of the person's with a name short enough for a socket in it; nothing in it runs on."""
    path = Path(tempfile.mkdtemp(prefix="apb", dir="/tmp"))
    path.chmod(0o711)
    person.own(path)
    try:
        yield path
    finally:
        people.end_all_below(path)
        shutil.rmtree(path)


@pytest.fixture
def place(person):
    """A new directory."""
    with directory_of(person) as path:
        yield path


@pytest.fixture(scope="session")
def used_place(person):
    """A directory whose database earlier tests may have made, used and killed: a first start costs a second."""
    with directory_of(person) as path:
        yield path
