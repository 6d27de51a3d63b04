"""The environments of what `apb up` starts. Anybody with the same user can read them in /proc: so they hold no secret.

Named variables pass, never all: what the operator's shell or unit holds beside them is nobody's business here. Secrets
of operators go into files whose names pass (ANSIBLE_VAULT_PASSWORD_FILE, PGPASSFILE).
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

PASSED = re.compile(
    r"HOME|USER|LOGNAME|TZ|TMPDIR|LANG|LC_\w+|TERM|NO_COLOR|SSH_AUTH_SOCK|XDG_\w+|KUBECONFIG|SSL_CERT_(FILE|DIR)"
    r"|PYTHON\w+|ANSIBLE_\w+|APB_\w+|PG(SSL\w+|PASSFILE|SERVICEFILE|CONNECT_TIMEOUT)"
)
SECRET = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|_KEY$|API_?KEY|DATABASE_URL")
NAMES_A_FILE = re.compile(r"(_FILE|PGPASSFILE)$")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def of_children(ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of serve, worker and ansible-playbook: programs of this installation first, UTF-8."""
    passed = {name: value for name, value in ours.items() if PASSED.fullmatch(name) and not _is_secret(name)}
    programs = str(Path(sys.executable).parent)
    return passed | {"PATH": f"{programs}:{ours.get('PATH') or DEFAULT_PATH}", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def _is_secret(name: str) -> bool:
    return bool(SECRET.search(name)) and not NAMES_A_FILE.search(name)
