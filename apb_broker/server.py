"""`apb serve`: the web processes, by gunicorn."""

import gc
import os
import shutil
from pathlib import Path
from typing import Any

import structlog
from flask import Flask
from gunicorn import arbiter
from gunicorn.app.base import BaseApplication

from apb_broker import assembly, metrics_directory, telling
from apb_broker.assembly import Assembled
from apb_broker.catalog.config import credentials_of
from apb_broker.catalog.errors import CatalogError, ConfigError
from apb_broker.https import Https
from apb_broker.machine.errors import MachineError
from apb_broker.storage.errors import StorageError

WORKERS = 2
THREADS = 24  # synchronous binds and log readers each hold one while they wait
KEEP_ALIVE_SECONDS = 75  # longer than platforms and proxies keep a connection: else they send on one that is just being closed
SPARE_SECONDS = 10.0  # on top of the longest wait for an operation

log = structlog.get_logger("apb.server")


class Arbiter(arbiter.Arbiter):  # type: ignore[misc]
    """The process above the web processes."""

    def reload(self) -> None:
        """SIGHUP: new web processes with the configuration as it is now, at the same socket; all stays as it is if that cannot be used."""
        try:
            self.app.read_again()
        except (CatalogError, ConfigError, MachineError, StorageError) as error:
            log.error("configuration not taken over", reason=str(error))
            return
        super().reload()
        log.info("configuration taken over")


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with our settings. What was assembled before the fork is its workers', who connect to the database by themselves.

    So one that dies is replaced by its like, whatever has become of apb.yml.
    """

    def __init__(self, state_dir: Path | None, assembled: Assembled) -> None:
        self._state_dir = state_dir
        self._take(assembled)
        self._metrics = os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_directory.create()
        super().__init__()

    def _take(self, assembled: Assembled) -> None:
        self._https = None if assembled.config.tls is None else Https(assembled.config.tls)
        self._assembled = assembled

    def read_again(self) -> None:
        """Takes the state directory's configuration as it is now. Raises what says that it cannot be used; then nothing has changed."""
        assembled = checked(self._state_dir, self._assembled.database_url)
        before = self._assembled.config.listen
        if assembled.config.listen != before:
            sentence = f"listen: {before} cannot become {assembled.config.listen} while the server runs: restart it"
            raise ConfigError(assembled.config.path, [sentence])
        self._take(assembled)

    def load_config(self) -> None:
        """Nothing is read from a gunicorn configuration file or the command line."""
        config = self._assembled.config
        options = {
            "bind": config.listen,
            "workers": WORKERS,
            "threads": THREADS,
            "worker_class": "apb_broker.web.stopping.Worker",
            "graceful_timeout": int(config.settings.sync_wait_seconds + SPARE_SECONDS),
            "timeout": 60,
            "keepalive": KEEP_ALIVE_SECONDS,
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
        tls = self._assembled.config.tls
        if tls is None or self._https is None:
            return {}
        return {"certfile": str(tls.certificate_file), "keyfile": str(tls.key_file), "ssl_context": self._https.context}

    def load(self) -> Flask:
        """The application of one worker process."""
        from apb_broker import application  # late: prometheus_client looks at the environment when it is imported

        telling.begin(self._assembled.broker)
        return application.create(self._assembled.broker, self._assembled.config)

    def run(self) -> None:
        """Until SIGTERM."""
        Arbiter(self).run()


def checked(state_dir: Path | None, database_url: str | None = None) -> Assembled:
    """All that web processes start from; no connection is left open. Raises what is wrong, before any of them is started."""
    assembled = assembly.assemble(state_dir, database_url)
    credentials_of(assembled.config.users)
    assembled.broker.database.close()
    return assembled


def serve(state_dir: Path | None = None) -> None:
    """Serves until SIGTERM."""
    os.umask(0o077)
    Server(state_dir, checked(state_dir)).run()
