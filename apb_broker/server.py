"""`apb serve`: the web processes, by gunicorn."""

import os
import shutil
import tempfile
from pathlib import Path

from flask import Flask
from gunicorn.app.base import BaseApplication

from apb_broker import assembly

WORKERS = 2
THREADS = 24  # synchronous binds and log readers each hold one while they wait


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with our settings; each of its workers assembles its own broker after the fork."""

    def __init__(self, state_dir: Path | None, database_url: str, listen: str) -> None:
        self._state_dir, self._database_url, self._listen = state_dir, database_url, listen
        self._metrics = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="apb-metrics-")
        super().__init__()

    def load_config(self) -> None:
        """Nothing is read from a gunicorn configuration file or the command line."""
        options = {
            "bind": self._listen,
            "workers": WORKERS,
            "threads": THREADS,
            "worker_class": "gthread",
            "graceful_timeout": 60,
            "timeout": 60,
            "proc_name": "apb-serve",
            "accesslog": None,
            "loglevel": "warning",
            "control_socket_disable": True,
            "on_exit": lambda _arbiter: shutil.rmtree(self._metrics, ignore_errors=True),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application of one worker process."""
        from apb_broker import application  # late: prometheus_client looks at the environment when it is imported

        assembled = assembly.assemble(self._state_dir, self._database_url)
        return application.create(assembled.broker, assembled.config)


def serve(state_dir: Path | None = None) -> None:
    """Serves until SIGTERM."""
    assembled = assembly.assemble(state_dir)  # says what is wrong before any process is started
    assembled.broker.database.close()
    Server(state_dir, assembled.database_url, assembled.config.listen).run()
