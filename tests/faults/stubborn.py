"""A service whose actions do what they are told for once: hang, be deaf to SIGTERM, leave a daemon behind, flood stdout.

It is what `apb init` makes, with one task more in each action. An order is a file ORDERS/<instance>.<action> with the behaviour in it;
whoever carries it out takes it away first, so that the next run of the action is a quiet one.
"""

import sys
from pathlib import Path

import yaml

from tests.e2e import own_services

FLOOD_MB = 200
PROGRAM = '''
"""Does what is ordered for an instance and an action."""
import os, signal, sys, time

order = sys.argv[1]
try:
    with open(order) as file:
        behaviour = file.read()
    os.rename(order, order + ".begun")
except FileNotFoundError:
    sys.exit(0)
if behaviour == "hang":
    time.sleep(1e6)
if behaviour == "deaf":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)
if behaviour == "daemon":
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            os.closerange(3, 1000)
            while True:
                time.sleep(1)
        os._exit(0)
    os.wait()
if behaviour == "flood":
    for _ in range(FLOOD_MB):
        os.write(1, b"0123456789abcdef" * 65535 + b"0123456789abcde\\n")
'''


def make(services, orders):
    """The role `stubborn` in the folder of services; that folder."""
    own_services.init("stubborn", "--services-path", str(services), cwd=services)
    program = services / "behave.py"
    program.write_text(PROGRAM.replace("FLOOD_MB", str(FLOOD_MB)))
    task = {
        "name": "Do as it is told",
        "ansible.builtin.command": {
            "argv": [sys.executable, str(program), f"{orders}/{{{{ apb_instance.id }}}}.{{{{ apb_action }}}}"],
        },
        "changed_when": True,
        "delegate_to": "localhost",
    }
    for name in ("bind", "unbind", "host/instance", "host/deprovision"):
        file = services / "stubborn" / "tasks" / f"{name}.yml"
        tasks = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump([*tasks[:1], task, *tasks[1:]], sort_keys=False))
    services.chmod(0o755)
    return Path(services)
