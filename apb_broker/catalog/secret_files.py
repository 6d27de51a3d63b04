"""Files with one secret of the operator's: readable by their owner only, text, neither empty nor long. What it means is the caller's."""

import stat
from pathlib import Path

from apb_broker.catalog.errors import ConfigError

MAX_CHARACTERS = 4096


def read(file: Path, kind: str, whose: str) -> str:
    """The text without its last line break. `kind` (password, token) and `whose` name it in errors. Raises ConfigError without it."""
    what = f"the {kind} of {whose}"
    try:
        require_private(file, kind)
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(file, [f"{what} cannot be read: {why}"]) from error
    if not text or len(text) > MAX_CHARACTERS:
        raise ConfigError(file, [f"{what} is {'too long' if text else 'empty'}"])
    return text


def require_private(file: Path, kind: str) -> None:
    """Refuses a file that others than its owner could read or change. Raises ConfigError, OSError."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(file, [f"mode {mode:04o} lets others read a {kind}: chmod 600 {file}"])
