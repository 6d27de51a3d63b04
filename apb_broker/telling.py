"""A web process tells every few seconds which keys it has, as workers do with their heartbeat: a thread beside its requests."""

import os
import socket
import threading
import time

import structlog

from apb_broker.lifecycle import fleet
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage.errors import StorageError, Unavailable

log = structlog.get_logger("apb")


def begin(broker: Broker) -> None:
    """Tells from now on, as long as this process lives."""
    threading.Thread(target=_tell, args=(broker,), name="telling", daemon=True).start()


def _tell(broker: Broker) -> None:
    owner = f"{socket.gethostname()}/{os.getpid()}"
    said = ""
    while True:
        try:
            fleet.report_keys(broker, "serve", owner)
            said = ""
        except Unavailable:
            pass  # each request says so
        except StorageError as error:
            if str(error) != said:
                log.error("keys do not fit", reason=str(error))
            said = str(error)
        except Exception as error:  # a rollout's database without the table, say: requests tell
            log.warning("keys are not told", reason=type(error).__name__)
        time.sleep(fleet.HEARTBEAT_SECONDS)
