"""What of a host is taken for apb's: by name and place, or by name and the fence; nothing else."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import host_survey

SLUGS = ["redis-[0-9a-f]{12}"]


@pytest.fixture
def slug(tmp_path: Path) -> str:
    """An instance that was worked on below the directory."""
    for name in ("fence", "instances", "supervisor/conf.d", "supervisor/logs"):
        (tmp_path / name).mkdir(parents=True)
    made = f"redis-{uuid.uuid4().hex[:12]}"
    (tmp_path / "fence" / made).write_text("1\n")
    return made


def surveyed(directory: Path) -> list[tuple[str, str]]:
    """Kind and instance of each thing there."""
    params = {"directory": str(directory), "slugs": SLUGS, "ports": []}
    return sorted((thing["kind"], thing["slug"]) for thing in host_survey.work(params, False)["things"])


@pytest.fixture
def process(slug: str) -> Iterator[subprocess.Popen[bytes]]:
    """What a run on a remote host left working."""
    environment = {**os.environ, "APB_INSTANCE": slug, "APB_EPOCH": "7"}
    with subprocess.Popen(["sleep", "1000"], env=environment) as made:
        yield made
        made.kill()


def test_survey_lists_what_is_named_as_ours_and_nothing_else(tmp_path: Path, slug: str) -> None:
    """A fence is no thing; neither are files of other names."""
    assert surveyed(tmp_path) == []
    for name in (slug, "notes", "redis-0123456789a", "kafka-0123456789ab"):
        (tmp_path / "instances" / name).mkdir()
        (tmp_path / "supervisor" / "conf.d" / f"{name}.conf").touch()
        (tmp_path / "supervisor" / "logs" / f"{name}.log.1").touch()
    assert surveyed(tmp_path) == [("directory", slug), ("log", slug), ("program", slug)]


def test_survey_lists_processes_of_runs_on_instances_of_this_directory(tmp_path: Path, slug: str, process: subprocess.Popen[bytes]) -> None:
    """Another directory's may have marks too."""
    assert surveyed(tmp_path) == [("run", slug)]
    (tmp_path / "fence" / slug).unlink()
    assert surveyed(tmp_path) == []


def test_survey_lists_a_process_that_works_in_a_home_also_when_that_is_gone(tmp_path: Path, slug: str) -> None:
    """A server that outlived its directory."""
    home = tmp_path / "instances" / slug
    home.mkdir()
    with subprocess.Popen(["sleep", "1000"], cwd=home, start_new_session=True) as made:
        home.rmdir()
        assert surveyed(tmp_path) == [("process", slug)]
        made.kill()


def test_survey_lists_temporary_directories_of_instances_of_this_directory(tmp_path: Path, slug: str) -> None:
    """Another broker's, and what Ansible has there of others, are none of ours."""
    temporary = tmp_path / "tmp"
    for name in (f"apb-{slug}/7", "apb-redis-0123456789ab/7", "ansible-tmp-1-2-3"):
        (temporary / name).mkdir(parents=True)
    things = host_survey.work({"directory": str(tmp_path), "slugs": SLUGS, "ports": []}, False, str(temporary))["things"]
    assert [(thing["kind"], thing["name"], thing["slug"]) for thing in things] == [("temporary directory", f"{temporary}/apb-{slug}", slug)]
