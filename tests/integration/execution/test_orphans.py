"""What a worker adopts without knowing it."""

import json
import subprocess
import sys

ADOPTS = """
import json, os, subprocess
from apb_broker import execution
from apb_broker.execution import orphans, processes

execution.become_subreaper()
supervisor = subprocess.Popen(["sleep", "600"])
orphans.watch(supervisor.pid)
execution.look_for_orphans()
left = subprocess.run(["sh", "-c", "sleep 600 >&2 & echo $!"], stdout=subprocess.PIPE, check=True).stdout
adopted = int(left) in processes.descendants(os.getpid())
execution.look_for_orphans()
print(json.dumps([adopted, processes.descendants(os.getpid()) == [supervisor.pid], supervisor.poll()]))
supervisor.kill()
"""


def test_worker_ends_what_it_adopts_and_nothing_of_its_own() -> None:
    """An orphan is killed and buried by the next look; a supervisor that is known goes on."""
    ended = subprocess.run([sys.executable, "-c", ADOPTS], stdout=subprocess.PIPE, timeout=60, check=True)
    assert json.loads(ended.stdout) == [True, True, None]
