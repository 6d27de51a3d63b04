"""The only door to Ansible: one operation, one supervised ansible-runner run, one outcome.

    run = execution.start(execution.Job(...))    # from the worker's main thread
    ...                                          # select on run; run.read() gives Progress and, last, one Outcome
    run.renew()                                  # after each renewal of the operation's lease
    run.close()

A run is a process tree of its own: supervisor -> runner -> ansible-playbook -> modules. When its outcome is told
nothing of it is left, neither processes (a daemon that a role starts is killed with the rest) nor files. The package
knows nothing of operations' rules, storage, OSB or the catalog.
"""

from apb_broker.execution.directory import dead as dead_directories
from apb_broker.execution.directory import sweep as sweep_directories
from apb_broker.execution.job import Job, JobError, Outcome, Progress
from apb_broker.execution.limits import Limits
from apb_broker.execution.orphans import become_subreaper, kill_orphans, look_for_orphans
from apb_broker.execution.processes import boot_clock
from apb_broker.execution.run import Run, start
from apb_broker.execution.warm.keeper import end as end_warm
from apb_broker.execution.warm.keeper import keep as keep_warm

__all__ = [
    "Job",
    "JobError",
    "Limits",
    "Outcome",
    "Progress",
    "Run",
    "become_subreaper",
    "boot_clock",
    "dead_directories",
    "end_warm",
    "keep_warm",
    "kill_orphans",
    "look_for_orphans",
    "start",
    "sweep_directories",
]
