"""Texts that would do something, were they ever taken for more than text: each tells of itself by a file, an account or a line."""

from dataclasses import dataclass
from pathlib import Path

MARK = "apb-injected"
ACCOUNT = "apb_injected"


@dataclass(frozen=True)
class Payload:
    """One kind of text for one kind of reader; `plans` are those in whose servers such a reader would be."""

    reader: str
    text: str
    plans: tuple[str, ...] = ()


def all_of(folder: Path) -> list[Payload]:
    """Whatever is carried out makes a file in the folder, or an account on a server. Shorter than 200 characters each."""
    touch = f"touch {folder}/{MARK}"
    role = f"CREATE ROLE {ACCOUNT} SUPERUSER LOGIN"
    user = f"ACL SETUSER {ACCOUNT} on nopass ~* &* +@all"
    return [
        Payload(
            "Jinja",
            f"{{{{ lookup('ansible.builtin.pipe', '{touch}-jinja') }}}}{{% for i in [1] %}}{{{{ 7 * 7 }}}}{{% endfor %}}{{# #}}",
            ("redis-tenant", "postgresql-tenant", "redis-standard"),
        ),
        Payload("tags of YAML", f"!unsafe {{{{ lookup('ansible.builtin.pipe', '{touch}-tag') }}}}"),
        Payload("vault of YAML", "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162"),
        Payload("structure of YAML", 'a: &a [*a]\n---\n- "b"\n...\n%TAG ! tag:x\n<<: *a\n? {x: y}\n'),
        Payload(
            "shells",
            f"$({touch}-sub) `{touch}-tick`; {touch}-semi\n{touch}-line\n' \" \\ $HOME ~ *",
            ("redis-tenant",),
        ),
        Payload("options", f"--extra-vars=x -oProxyCommand={touch}-option"),
        Payload("paths", f"../../../../../../../../../..{folder}/{MARK}-path", ("postgresql-tenant",)),
        Payload("absolute paths", f"{folder}/{MARK}-absolute"),
        Payload("SQL", f"'; {role}; -- \"; {role}; --", ("postgresql-tenant",)),
        Payload("dollars of SQL", f"$$; {role}; $$ $q$ \\'; {role}; -- %s %(x)s :x {{}} $1", ("postgresql-tenant",)),
        Payload("Redis", f"x\r\n{user}\r\n*2\r\n$3\r\nDEL\r\n$1\r\nx\r\n", ("redis-tenant",)),
        Payload(
            "accounts of Redis",
            f"{ACCOUNT} on nopass >p ~* &* +@all # \nuser {ACCOUNT} on nopass ~* &* +@all\n",
            ("redis-tenant", "redis-standard"),
        ),
        Payload(
            "redis.conf", f'x"\nuser {ACCOUNT} on nopass ~* +@all\nlogfile {folder}/{MARK}-conf\ninclude {folder}/x\n', ("redis-standard",)
        ),
        Payload("supervisord", f"%(here)s %n ; x\n[program:{ACCOUNT}]\ncommand={touch}-program\n", ("redis-standard",)),
        Payload("systemd", f"%n %% \\x20\n[Service]\nExecStartPre=/bin/sh -c '{touch}-unit'\n"),
        Payload("logs and terminals", '\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2028\n{"event": "injected"}\nb\u0301\u200b\ud7ff\U0001f98a'),
    ]
