"""Uses the service @service@ as a tenant would: reads a binding's credentials (JSON) on stdin, prints one line of what it did.

Exit codes: 0 the credentials work, 3 the service refuses them, anything else is a fault.
There is no server, so it has to run on the instance's host.
"""

import hashlib
import hmac
import json
import sys
from pathlib import Path

REFUSED = 3


def main() -> int:
    """The exit code."""
    credentials = json.load(sys.stdin)
    home = Path(credentials["path"])
    account = home / f"account-{credentials['username']}"
    if not account.is_file():
        print(f"there is no account {credentials['username']}")
        return REFUSED
    given = hashlib.sha256(f"{credentials['username']}:{credentials['password']}".encode()).hexdigest()
    if not hmac.compare_digest(given, account.read_text(encoding="utf-8")):
        print(f"the password of {credentials['username']} is another one")
        return REFUSED
    print((home / "greeting").read_text(encoding="utf-8"))
    return 0


sys.exit(main())
