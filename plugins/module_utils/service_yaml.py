"""YAML as apb reads it: JSON's types only, no key twice.

YAML's own rules would let the last of two equal keys win silently, turn an unquoted date into something JSON has no word for, and take a
number as a key; a description or configuration must not change its meaning that way.
"""

from __future__ import annotations

import functools
from pathlib import Path


class YamlError(Exception):
    """The file cannot be read, or is not such YAML."""


def read(path):
    """The content of a file. Raises YamlError with one line that names the place in it, but not the file."""
    import yaml

    try:
        return _parsed(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise YamlError(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise YamlError(f"is not valid YAML: {_one_line(error)}") from error


def _parsed(text):
    """By libyaml where PyYAML has it, ten times as fast; what is wrong is told by PyYAML's own parser, which points at it more closely."""
    import yaml

    if hasattr(yaml, "CSafeLoader"):
        try:
            return yaml.load(text, Loader=_loader(yaml.CSafeLoader))  # noqa: S506 (a SafeLoader)
        except yaml.YAMLError:
            pass
    return yaml.load(text, Loader=_loader(yaml.SafeLoader))  # noqa: S506 (a SafeLoader)


def _one_line(error) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


@functools.lru_cache(maxsize=2)
def _loader(base):
    import yaml

    class Loader(base):
        yaml_implicit_resolvers = {
            first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
            for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node, deep=False):
            seen = set()
            for key_node, _value in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    self._refuse(key_node, f"key {key!r} is not a string: quote it")
                if key in seen:
                    self._refuse(key_node, f"key '{key}' is given twice")
                seen.add(key)
            return super().construct_mapping(node, deep)

        def _refuse(self, node, problem):
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    return Loader
