"""LISTEN for the queue: a connection of its own that a worker can wait on. Polling stays the safety net."""

import contextlib

import psycopg

from apb_broker.storage import database
from apb_broker.storage.queue import CHANNEL


class Listener:
    """Readable when something was queued. Without a connection it is silent; `connect` tries anew."""

    def __init__(self, url: str) -> None:
        self._url = database.driver_url(url).replace("postgresql+psycopg://", "postgresql://", 1)
        self._patience = database.patience(url)
        self._connection: psycopg.Connection | None = None

    def connect(self) -> bool:
        """Listens, if it does not already; says whether it does."""
        if self._connection is None or self._connection.closed:
            try:
                self._connection = psycopg.connect(self._url, autocommit=True, **self._patience)  # type: ignore[arg-type]
                self._connection.execute(f"LISTEN {CHANNEL}")
            except psycopg.Error:
                self.close()
        return self._connection is not None

    def fileno(self) -> int:
        """The socket to wait on, or -1."""
        return -1 if self._connection is None or self._connection.closed else self._connection.fileno()

    def drain(self) -> set[str]:
        """Takes what arrived: what was said (queue.CANCEL), "" where nothing was; a broken connection is dropped."""
        if self._connection is None:
            return set()
        try:
            return {notification.payload for notification in self._connection.notifies(timeout=0)}
        except psycopg.Error:
            self.close()
            return set()

    def close(self) -> None:
        """Stops listening."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
