"""A worker's warm process: it has loaded Ansible once, and forks the supervisor of each run, so that nothing is loaded again.

    keeper        the worker's end: starts it, asks it for supervisors, gives it up when it does not answer
    zygote        the process itself
    priming       what of Ansible is loaded beforehand, and what a process that becomes ansible-playbook makes anew
    fingerprint   whether what was loaded is still what lies on the disk
    titles        what `ps` and /proc say of processes that were never executed

Everything else of a run is the same code as without it: supervisor, runner, executor.
"""
