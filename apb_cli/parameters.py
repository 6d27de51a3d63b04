"""Parameters from the command line and from files. Secrets come by file or stdin; limits are left to the broker, which knows them all.

`-p` knows three forms: name=text, name:=json and name@=FILE (the text of a file, `-` for stdin).
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from apb_cli import connection, errors

FORM = re.compile(r"(?P<name>[^=:@\s]+)(?P<kind>:|@)?=(?P<value>.*)", re.DOTALL)
STDIN = "-"


def gather(given: list[str], file: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    """All parameters; what -p says wins over the file. `schema` is the plan's, or {}. Raises Usage, never naming a value."""
    parts = [_parse(text) for text in given]
    _refuse_repeated([name for name, _, _ in parts])
    if [file, *(value for _, kind, value in parts if kind == "@")].count(STDIN) > 1:
        raise errors.Usage("stdin can be read only once: use `-` in one place")
    properties = schema.get("properties", {})
    for name, kind, _ in parts:
        if kind != "@" and is_sensitive(properties.get(name, {})):
            raise errors.Usage(
                f"{name} is secret, and a command line is not (history, process list): "
                f"give it by --parameters-file (a 0600 file, or - for stdin) or as -p {name}@=FILE"
            )
    values = {} if file is None else _from_file(file, properties)
    for name, kind, value in parts:
        values[name] = _value(name, kind, value, is_sensitive(properties.get(name, {})))
    return values


def is_sensitive(schema: dict[str, Any]) -> bool:
    """Whether a parameter is secret, or holds something that is."""
    if not isinstance(schema, dict):
        return False
    if schema.get("x-sensitive") is True:
        return True
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return any(is_sensitive(part) for part in inner if isinstance(part, dict))


def _parse(text: str) -> tuple[str, str, str]:
    found = FORM.fullmatch(text)
    if found is None:
        name = text if text.replace("-", "").replace("_", "").isalnum() and len(text) <= 40 else "name"
        raise errors.Usage(f"-p: expected {name}=text, {name}:=json or {name}@=FILE")
    return found["name"], found["kind"] or "", found["value"]


def _refuse_repeated(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise errors.Usage(f"-p {name} is given twice")


def _value(name: str, kind: str, value: str, sensitive: bool) -> Any:
    if kind == ":":
        return _json(value, f"-p {name}:=")
    if kind == "@":
        text, is_open = _read(value)
        if sensitive and is_open:
            raise connection.open_to_others(Path(value))
        return text.removesuffix("\n").removesuffix("\r")
    return value


def _from_file(file: str, properties: dict[str, Any]) -> dict[str, Any]:
    text, is_open = _read(file)
    values = _document(text, file)
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise errors.Usage(f"{file} is not a JSON or YAML object of names and values")
    if is_open and any(is_sensitive(properties.get(name, {})) for name in values):
        raise connection.open_to_others(Path(file))
    return values


def _document(text: str, file: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise errors.Usage(f"{file} is neither JSON nor YAML") from None  # the cause would quote the text


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        raise errors.Usage(f"{where} is not followed by JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _read(file: str) -> tuple[str, bool]:
    return (sys.stdin.read(), False) if file == STDIN else connection.read_text(Path(file))
