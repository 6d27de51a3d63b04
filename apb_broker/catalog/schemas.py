"""Writes the JSON Schemas of service.yml and apb.yml: `python -m apb_broker.catalog.schemas [FOLDER]` (docs/schemas by default).

Editors and CI of people who write services check their files against these; a test keeps the published ones equal to what the code accepts.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service_schema

from apb_broker.catalog.config import Config

FOLDER = Path("docs") / "schemas"
COMPUTED = {"Config": "path", "HostTarget": "name", "SharedTarget": "name"}  # fields that load() fills in


def published() -> dict[str, str]:
    """File name -> content."""
    made = {"service.schema.json": service_schema.SERVICE_SCHEMA, "apb.schema.json": _of_config()}
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in made.items()}


def _of_config() -> dict[str, Any]:
    schema = Config.model_json_schema()
    for name, field in COMPUTED.items():
        (schema if name == "Config" else schema["$defs"][name])["properties"].pop(field)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "apb broker configuration (apb.yml)",
    }


def write(folder: Path = FOLDER) -> None:
    """Writes all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in published().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write(*map(Path, sys.argv[1:2]))
