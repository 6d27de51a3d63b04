"""What is left of a run, wherever its processes went."""

from pathlib import Path

import psutil


def born(pid):
    """When the process began, which tells it from others that had or get its number. None when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def alive_of(supervisors):
    """The processes of runs, {supervisor: pids}: supervisors themselves, and all that were given their private directories.

    `supervisors` are {pid: when it was born}; a number that somebody else has by now says nothing.
    """
    supervisors = [pid for pid, since in supervisors.items() if born(pid) in (None, since)]
    found = {}
    for process in psutil.process_iter() if supervisors else []:
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (of := belongs(process.pid, supervisors)):
                found.setdefault(of, []).append(process.pid)
        except (OSError, psutil.Error):
            continue  # it has just ended
    return found


def belongs(pid, supervisors):
    """The supervisor of the run that a process is of."""
    if pid in supervisors and b"execution.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes():
        return pid
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    return next((each for each in supervisors if f"/apb-run-{each}-".encode() in environment), None)
