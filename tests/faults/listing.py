"""Everything of a site that there is on this machine and on its servers, by none of the broker's own means: /proc, directories, SQL, Redis.

Two of these are compared: before any instance was there and after all are gone.
"""

import re
from pathlib import Path

import psutil

from tests.faults import states

# What lives and grows whatever instances there are: of PostgreSQL only its first process and its directory as a whole are looked at.
NOT_LISTED = re.compile(
    r"^s/(postgres/(data|run|software-[^/]*)|logs)/|^s/host/(fence|supervisor/(supervisord\.log|logs))|^(journal|holds/|orders/|tmp/wgunicorn)"
    r"|^tmp/apb-metrics-[^/]*/"
)
BY_CHANCE = re.compile(r"(?<=^tmp/apb-metrics-)[^/]*$")  # a server that was started again has another directory, and one only


def of(site):
    """{what: sorted names}; tombstones of instances, which stay on purpose, are apart."""
    return {
        "processes": processes(site),
        "files": files(site.base),
        "shared memory": sorted(path.name for path in site.namespace.shared_memory.glob("*") if not path.name.startswith("PostgreSQL.")),
        "units": sorted(path.name for path in Path("/etc/systemd/system").glob("*") if mentions(site, path)),
        "ports": listening(*map(int, site.ports.split("-"))),
        "users": site.users(),
        "accounts": accounts(site),
        "keys": keys(site),
        "databases": [str(row) for row in site.postgresql.sql("SELECT datname FROM pg_database ORDER BY 1")],
        "roles": [str(row) for row in site.postgresql.sql("SELECT rolname FROM pg_roles ORDER BY 1")],
        "rows": rows(site),
    }


def files(base):
    """Files and directories, without those that are there whatever happens."""
    names = [str(path.relative_to(base)) for path in base.rglob("*")]
    return sorted(BY_CHANCE.sub("", name) for name in names if not NOT_LISTED.search(name))


def processes(site):
    """The command line of each process that was started in the site's namespace, or that names its directory anywhere."""
    found, mark = [], str(site.base).encode()
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            named = any(mark in Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
            if named or site.namespace.holds(process.pid) or str(site.base) in process.cwd():
                found.append(re.sub(r"^(postgres:) .*", r"\1", " ".join(process.info["cmdline"] or [process.name()]).rstrip()))
        except (OSError, psutil.Error):
            continue
    return sorted(line for line in found if line != "postgres:")


def mentions(site, path):
    return path.is_file() and str(site.base) in path.read_text(errors="replace")


def listening(first, last):
    """The ports of instances that somebody listens on, as the kernel tells."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    open_ports = {int(words[1].rpartition(":")[2], 16) for words in lines if words[3] == "0A"}
    return [str(port) for port in sorted(open_ports) if first <= port <= last]


def accounts(site):
    """Of the shared Redis: those in force, and those in its file."""
    with site.redis.admin() as client:
        saved = [" ".join(line.split()[:2]) for line in site.redis.acl.read_text().splitlines()]  # their rights it writes in another way
        return sorted([*states.accounts(client, ""), *saved])


def keys(site):
    with site.redis.admin() as client:
        return sorted(client.scan_iter("*"))


def rows(site):
    """What the broker believes in."""
    return [
        f"{table}: {site.sql(f'SELECT count(*) FROM {table}')[0][0]}" for table in ("instances", "bindings", "allocations", "reservations")
    ]


def tombstones(site):
    """Of which instances an epoch is remembered."""
    return sorted(path.name for path in (site.state.host / "fence").glob("*") if path.name != ".lock")


def unlike(before, after):
    """What came and what went, by its place."""
    found = {}
    for place in before:
        came = [name for name in after[place] if after[place].count(name) > before[place].count(name)]
        went = [name for name in before[place] if before[place].count(name) > after[place].count(name)]
        if came or went:
            found[place] = {"came": sorted(set(came)), "went": sorted(set(went))}
    return found
