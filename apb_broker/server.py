"""`apb serve`: the web processes, by gunicorn."""

import gc
import os
import shutil
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from apb_broker import assembly, metrics_directory
from apb_broker.catalog.config import Config, credentials_of
from apb_broker.https import Https

WORKERS = 2
THREADS = 24  # synchronous binds and log readers each hold one while they wait


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with our settings; each of its workers assembles its own broker after the fork."""

    def __init__(self, state_dir: Path | None, database_url: str, config: Config) -> None:
        self._state_dir, self._database_url, self._config = state_dir, database_url, config
        self._https = None if config.tls is None else Https(config.tls)
        self._metrics = os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_directory.create()
        super().__init__()

    def load_config(self) -> None:
        """Nothing is read from a gunicorn configuration file or the command line."""
        options = {
            "bind": self._config.listen,
            "workers": WORKERS,
            "threads": THREADS,
            "worker_class": "apb_broker.web.malformed.Worker",
            "graceful_timeout": 60,
            "timeout": 60,
            "limit_request_line": 8190,  # two ids of the longest kind, percent-encoded, and a query
            "proc_name": "apb-serve",
            "accesslog": None,
            "loglevel": "warning",
            "control_socket_disable": True,
            "forwarded_allow_ips": "",  # who stands behind a proxy is the application's question; the environment has no say
            "post_worker_init": lambda _worker: gc.freeze(),  # what is there by now stays: no collection looks at it again
            "on_exit": lambda _arbiter: shutil.rmtree(self._metrics, ignore_errors=True),
            **self._tls(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _tls(self) -> dict[str, Any]:
        tls = self._config.tls
        if tls is None or self._https is None:
            return {}
        return {"certfile": str(tls.certificate_file), "keyfile": str(tls.key_file), "ssl_context": self._https.context}

    def load(self) -> Flask:
        """The application of one worker process."""
        from apb_broker import application  # late: prometheus_client looks at the environment when it is imported

        assembled = assembly.assemble(self._state_dir, self._database_url)
        return application.create(assembled.broker, assembled.config)


def serve(state_dir: Path | None = None) -> None:
    """Serves until SIGTERM."""
    assembled = assembly.assemble(state_dir)  # says what is wrong before any process is started
    credentials_of(assembled.config.users)
    assembled.broker.database.close()
    Server(state_dir, assembled.database_url, assembled.config).run()
