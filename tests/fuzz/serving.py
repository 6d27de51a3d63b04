"""`apb serve` for tests: python serving.py STATE_DIR, with DATABASE_URL in the environment."""

import sys
from pathlib import Path

from apb_broker import server

if __name__ == "__main__":
    server.serve(Path(sys.argv[1]))
