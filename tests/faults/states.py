"""Everything there is of an instance: processes, directories, files, accounts, rights, databases, data; and two of these compared.

Looked at from outside, by the system's and the servers' own means.
"""

import json
from pathlib import Path

import psutil

ON_SERVER = {
    "roles": """SELECT rolname, rolcanlogin, rolinherit, rolconnlimit, rolconfig, rolsuper, rolcreaterole, rolcreatedb
                FROM pg_roles WHERE rolname = ANY (%s)""",
    "members": "SELECT roleid::regrole, member::regrole, admin_option FROM pg_auth_members WHERE member::regrole::text = ANY (%s)",
    "database": "SELECT datname, datdba::regrole, datconnlimit, datacl::text[] FROM pg_database WHERE datname = ANY (%s)",
    "settings": """SELECT setrole::regrole, setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
                   WHERE datname = ANY (%s)""",
}
IN_DATABASE = {
    "schemas": "SELECT nspname, nspowner::regrole, nspacl::text[] FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'",
    "relations": """SELECT relnamespace::regnamespace, relname, relowner::regrole, relacl::text[] FROM pg_class
                    WHERE relnamespace::regnamespace::text <> 'pg_toast'""",
    "functions": """SELECT proname, proowner::regrole, proacl::text[] FROM pg_proc
                    WHERE pronamespace::regnamespace::text <> 'information_schema'""",
    "defaults": "SELECT defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl::text[] FROM pg_default_acl",
    "extensions": "SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension",
    "triggers": "SELECT evtname, evtenabled FROM pg_event_trigger",
    "inits": "SELECT sha256 FROM apb.inits",
}


def redis_on_host(root, slug, port, admin, user):
    """A server of the instance's own, below the directory `root`. `admin` connects to it, or is None when nothing listens."""
    return {
        "files": {str(path): description(path) for path in sorted(root.rglob("*")) if slug in str(path)},
        "units": [path.name for path in Path("/etc/systemd/system").glob(f"*{slug}*")],
        "processes": [
            words for words in command_lines() if any(str(root / "instances" / slug) in word or f":{port}" in word for word in words)
        ],
        "user": user,
        "server": None if admin is None else redis_server(admin),
    }


def command_lines():
    """What runs on this machine."""
    return [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]


def redis_server(admin):
    """Accounts, settings and data of a server that has one tenant."""
    with admin() as client:
        return {"accounts": accounts(client, ""), "settings": client.config_get("*"), "keys": keys(client, "*")}


def redis_shared(admin, acl_file, prefix):
    """A share of a server."""
    with admin() as client:
        saved = [line for line in acl_file.read_text().splitlines() if prefix in line]
        return {
            "accounts": accounts(client, prefix),
            "saved": [" ".join(sorted(line.split())) for line in saved],
            "keys": keys(client, f"{prefix}*"),
        }


def postgresql_shared(server, database, account):
    """A database of a server, its roles, and one account of it."""
    rows = {name: plain(server.sql(query, [database, f"{database}_read", account])) for name, query in ON_SERVER.items()}
    if rows["database"]:
        rows |= {name: plain(server.sql(query, database=database)) for name, query in IN_DATABASE.items()}
        rows["data"] = plain(server.sql("SELECT * FROM kept", database=database)) if "kept" in str(rows["relations"]) else None
    return rows


def accounts(client, prefix):
    """Each with its rights, in an order of our own: a server's is not always the same."""
    lines = [line for line in client.acl_list() if prefix in line]
    return sorted(" ".join(sorted(line.split())) for line in lines)


def keys(client, pattern):
    return {key: client.get(key) for key in client.scan_iter(pattern)}


def description(path):
    """What a file is; of those that the server itself writes, and of the fence with its growing number, only that they are there."""
    found = path.stat()
    text = path.read_text() if path.is_file() and path.suffix in (".conf", ".acl") else None
    lines = [" ".join(sorted(line.split())) for line in (text or "").splitlines()]
    return {"mode": oct(found.st_mode), "owned by root": found.st_uid == 0, "lines": sorted(lines) if path.suffix == ".acl" else lines}


def plain(rows):
    """Rows as lists, in an order of our own; rights too, whose order is that in which they were given."""
    return sorted(str([sorted(value) if isinstance(value, list) else str(value) for value in row]) for row in rows)


def in_common_words(found, names):
    """The same for each instance: `names` are what is its own, and what that is called for all."""
    text = json.dumps(found, sort_keys=True, default=str)
    for own, common in names.items():
        text = text.replace(own, common)
    return in_order(json.loads(text))


def in_order(found):
    """With all lists of texts sorted, now that names are the same."""
    if isinstance(found, dict):
        return {name: in_order(value) for name, value in found.items()}
    return sorted(found) if isinstance(found, list) and all(isinstance(value, str) for value in found) else found


def unlike(expected, found, place=""):
    """What differs, by its place: as it should be, and as it is."""
    if isinstance(expected, dict) and isinstance(found, dict):
        differ = [unlike(expected.get(name), found.get(name), f"{place}/{name}") for name in {*expected, *found}]
        return {name: values for each in differ for name, values in each.items()}
    return {} if expected == found else {place: (expected, found)}
