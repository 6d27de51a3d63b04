"""Results sealed on their way from a role to its caller: whatever carries or keeps them in between holds no secret in clear.

The caller gives each run a key of its own in the variable apb_publish_key; without one, results travel as they are.
"""

from __future__ import annotations

import base64
import json
import os

KEY_VARIABLE = "apb_publish_key"
KEY_BYTES = 32
NONCE_BYTES = 12


def new_key() -> str:
    """A key for one run."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def seal(values: dict, key: str) -> str:
    """JSON values as text that only the key opens."""
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, json.dumps(values).encode(), None)).decode()


def unseal(text: str, key: str) -> dict:
    """The reverse of seal. Raises cryptography.exceptions.InvalidTag for what another key sealed."""
    sealed = base64.b64decode(text)
    return json.loads(_cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None))


def _cipher(key: str):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # what ansible-core itself needs

    return AESGCM(base64.b64decode(key))
