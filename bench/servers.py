"""The servers that are compared: apb's own, and a small Flask application for each of its routes, under the same gunicorn settings.

python -m bench.servers baseline STATE_DIR LISTEN CATALOG_FILE
python -m bench.servers bare LISTEN      answers anything with the same bytes: how fast the load generator can be
"""

import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy
from flask import Flask, Response, jsonify, request

from apb_broker import server
from apb_broker.storage.database import driver_url

ONE_ROW = sqlalchemy.text("SELECT kind, state, description FROM bench_operations WHERE id = :id")
NEW_ROW = sqlalchemy.text("INSERT INTO bench_accepted (id, kind, state, request) VALUES (:id, :kind, :state, :request)")


def baseline(database_url: str, catalog: bytes) -> Flask:
    """What anybody would write: the same bytes, one indexed SELECT, one INSERT with its commit. No authentication, no rules."""
    app = Flask(__name__, static_folder=None)
    engine = sqlalchemy.create_engine(driver_url(database_url), pool_size=24)

    @app.get("/catalog")
    def same_bytes() -> Response:
        return Response(catalog, mimetype="application/json")

    @app.get("/operations/<operation_id>")
    def select(operation_id: str) -> Response:
        with engine.connect() as connection:
            row = connection.execute(ONE_ROW, {"id": operation_id}).one()
        return jsonify({"state": row.state, "description": row.description})

    @app.put("/operations/<operation_id>")
    def insert(operation_id: str) -> tuple[Response, int]:
        body = request.get_json()
        with engine.begin() as connection:
            connection.execute(NEW_ROW, {"id": operation_id, "kind": "provision", "state": "queued", "request": body["plan_id"]})
        return jsonify({"operation": operation_id}), 202

    return app


class Baseline(server.Server):
    """apb's own gunicorn settings around the other application."""

    def __init__(self, state_dir: Path, listen: str, catalog: bytes) -> None:
        self._catalog = catalog
        found = server.checked(state_dir)
        super().__init__(state_dir, replace(found, config=found.config.model_copy(update={"listen": listen})))

    def load(self) -> Flask:
        """The application of one worker process."""
        return baseline(self._assembled.database_url, self._catalog)


def bare(port: int) -> None:
    """One thread a connection, no HTTP but the answer's."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    def talk(connection: socket.socket) -> None:
        while connection.recv(1 << 16):
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


def main(kind: str, *arguments: Any) -> None:
    """Serves until it is ended."""
    if kind == "bare":
        bare(int(arguments[0].rpartition(":")[2]))
    state_dir, listen, catalog_file = arguments
    Baseline(Path(state_dir), listen, Path(catalog_file).read_bytes()).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
