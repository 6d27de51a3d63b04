"""From nothing to a Redis by one request and back: `make demo`.

Starts everything on this machine in a directory of its own, does what a developer would do, shows each command,
and checks at the end that nothing is left. Exits 1 with a sentence when something is not as it should be.
"""

import contextlib
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import redis

HERE = Path(__file__).resolve().parent.parent
APB = str(Path(sys.executable).parent / "apb")
START_SECONDS = 300


def say(text: str) -> None:
    print(f"\n# {text}", flush=True)


def fail(text: str) -> None:
    raise SystemExit(f"demo: {text}")


def apb(environment: dict, *words: str, keep: bool = False) -> str:
    """Runs one apb command as a person would, showing it."""
    print(f"$ apb {' '.join(words)}", flush=True)
    done = subprocess.run([APB, *words], env=environment, stdout=subprocess.PIPE if keep else None, text=True)
    if done.returncode:
        fail(f"`apb {words[0]}` ended with {done.returncode}")
    return done.stdout or ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_ports() -> str:
    """Two neighbouring ports nobody uses, below those that outgoing connections get: other instances on this machine keep theirs."""
    while True:
        first = random.randrange(20000, 32000, 2)
        if not any(is_open(port) for port in (first, first + 1)):
            return f"{first}-{first + 1}"


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def broker(environment: dict, state: Path):
    """`apb up` in the background, its output in a file, until the client finds its way to it."""
    log = state.with_suffix(".log")
    command = [APB, "up", "--listen", f"127.0.0.1:{free_port()}", "--ports", free_ports()]
    with log.open("wb") as output:
        up = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for_start(up, environment, log)
        yield
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)
        log.unlink()


def wait_for_start(up: subprocess.Popen, environment: dict, log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while not answers(Path(environment["APB_STATE_DIR"]) / "admin.json"):
        if up.poll() is not None or time.monotonic() > give_up:
            fail(f"the broker did not start:\n{log.read_text()}")
        time.sleep(0.1)


def answers(admin_file: Path) -> bool:
    """Whether the broker that these credentials are for is there."""
    try:
        url = json.loads(admin_file.read_text())["url"]
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK
    except (OSError, ValueError, httpx.HTTPError):
        return False


def use(credentials: dict) -> None:
    """SET and GET as the bound user; CONFIG is not for tenants."""
    with client(credentials) as connection:
        connection.set("greeting", "hello")
        print(f"SET greeting hello; GET greeting -> {connection.get('greeting').decode()}")
        try:
            connection.config_get("maxmemory")
        except redis.exceptions.NoPermissionError as error:
            print(f"CONFIG GET maxmemory -> {error}")
        else:
            fail("a bound user may use CONFIG")


def client(credentials: dict) -> redis.Redis:
    return redis.Redis(
        host=credentials["host"], port=credentials["port"], username=credentials["username"], password=credentials["password"]
    )


def expect_refused(credentials: dict) -> None:
    try:
        with client(credentials) as connection:
            connection.ping()
    except redis.exceptions.AuthenticationError as error:
        print(f"the same login -> {error}")
    else:
        fail("the login works after unbind")


def expect_nothing_left(port: int, directory: Path, slug: str) -> None:
    """No process, port, directory or system user of the instance."""
    if is_open(port):
        fail(f"port {port} is still open")
    if (directory / slug).exists():
        fail(f"{directory / slug} still exists")
    if any(slug in process_text(process) for process in Path("/proc").glob("[0-9]*")):
        fail(f"a process of {slug} still runs")
    if any(slug in user.pw_name for user in pwd.getpwall()):
        fail(f"the system user of {slug} still exists")
    print(f"port {port} closed; process, directory and system user of {slug} gone")


def process_text(process: Path) -> str:
    """Arguments and working directory of a process, as far as they can be read."""
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_text(errors="replace") + str((process / "cwd").readlink())
    return ""


def tell_story(environment: dict, state: Path) -> None:
    say("what is offered")
    apb(environment, "marketplace")
    say("a Redis, by one request")
    apb(environment, "provision", "redis", "redis-standard", "cache", "-p", "memory=0.5")
    say("an account for an application")
    apb(environment, "bind", "cache", "shop", "--no-wait")
    credentials = wait_for_credentials(environment)
    print({name: "********" if name in ("password", "uri") else value for name, value in credentials.items()})
    say("used by a real client")
    use(credentials)
    say("taken back")
    apb(environment, "unbind", "cache", "shop")
    expect_refused(credentials)
    (instances,) = (path for path in state.rglob("instances") if path.is_dir())
    (slug,) = (path.name for path in instances.iterdir())
    apb(environment, "deprovision", "cache", "--yes")
    expect_nothing_left(credentials["port"], instances, slug)


def wait_for_credentials(environment: dict) -> dict:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        done = subprocess.run([APB, "credentials", "cache", "shop", "-o", "json"], env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout)
        time.sleep(0.3)
    return fail(f"no credentials after a minute: {done.stderr}")


def stop_supervisor(state: Path) -> None:
    """Instances outlive the broker on purpose, and so does what supervises them; the demo's own is ended."""
    for pidfile in state.rglob("supervisord.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            pid = int(pidfile.read_text())
            os.kill(pid, signal.SIGTERM)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.05)


def main() -> None:
    state = Path(tempfile.mkdtemp(prefix="apb-demo-", dir="/tmp"))
    state.chmod(0o711)
    environment = {**os.environ, "APB_STATE_DIR": str(state), "NO_COLOR": "1"}
    for name in ("APB_URL", "APB_USERNAME", "APB_PASSWORD_FILE", "DATABASE_URL"):
        environment.pop(name, None)
    began = time.monotonic()
    try:
        say("everything on this machine: apb up")
        with broker(environment, state):
            tell_story(environment, state)
    except BaseException:
        stop_supervisor(state)
        print(f"demo: its files are kept in {state}", file=sys.stderr)
        raise
    stop_supervisor(state)
    shutil.rmtree(state)
    say(f"done in {time.monotonic() - began:.0f} s; nothing is left")


main()
