"""Writes the definitions as YAML: `python -m apb_controller.kinds [FOLDER]` (deploy/crds by default)."""

import sys
from pathlib import Path

from apb_controller.kinds import published

published.write(Path(sys.argv[1]) if len(sys.argv) > 1 else published.FOLDER)
