"""YAML files with the line of everything in them, for findings that point at it.

Reads what Ansible reads (its tags included) and judges nothing: service_yaml.py decides what a description may be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class Text(str):
    """A string, and the line it begins on."""

    line: int


class Mapping(dict[str, Any]):
    """Names and values; `line` is that of the first name, `lines` that of each."""

    line: int
    lines: dict[str, int]


class Items(list[Any]):
    """A list, and the line it begins on."""

    line: int


class Unreadable(Exception):
    """The file is not YAML."""

    def __init__(self, line: int, message: str) -> None:
        self.line, self.message = line, message
        super().__init__(message)


class _Loader(yaml.SafeLoader):
    """Keeps the line of every node; tags that only Ansible knows are ignored."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Mapping:
    found = Mapping()
    found.line, found.lines = node.start_mark.line + 1, {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        found[key] = loader.construct_object(value_node, deep=True)
        found.lines[key] = key_node.start_mark.line + 1
    return found


def _items(loader: _Loader, node: yaml.SequenceNode) -> Items:
    found = Items(loader.construct_object(inner, deep=True) for inner in node.value)
    found.line = node.start_mark.line + 1
    return found


def _text(loader: _Loader, node: yaml.ScalarNode) -> Text:
    found = Text(loader.construct_scalar(node))
    found.line = node.start_mark.line + 1
    return found


def _tagged(loader: _Loader, _tag: str, node: yaml.Node) -> Any:
    kinds: dict[type, Any] = {yaml.MappingNode: _mapping, yaml.SequenceNode: _items, yaml.ScalarNode: _text}
    return kinds[type(node)](loader, node)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _items)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_multi_constructor("!", _tagged)


def read(path: Path) -> Any:
    """The content of a file; None when it is empty. Raises Unreadable."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(mark.line + 1 if mark else 1, str(error.problem or error.context)) from error
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Unreadable(1, " ".join(str(error).split())) from error


def of_field(content: Any, field: str) -> int:
    """The line of a dotted place such as plans[0].parameters.memory, or of as much of it as there is."""
    line = getattr(content, "line", 1)
    for part in field.replace("[", ".[").split("."):
        index = int(part[1:-1]) if part.startswith("[") and part[1:-1].isdigit() else None
        if index is not None and isinstance(content, list) and index < len(content):
            content = content[index]
            line = getattr(content, "line", line)
        elif index is None and isinstance(content, Mapping) and part in content:
            line, content = content.lines[part], content[part]
        else:
            break
    return int(line)


def texts(value: Any) -> list[str]:
    """Every string in a value, names included."""
    if isinstance(value, dict):
        return [text for name, inner in value.items() for text in (str(name), *texts(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [value] if isinstance(value, str) else []
