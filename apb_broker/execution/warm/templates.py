"""The templates of our roles and playbooks, compiled before any run: forks have their code, which is a third of what a task takes.

A template is known by its text, so that a role may change at any time; what is not known is compiled as ever.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
import yaml

FILES = ("playbooks/*.yml", "roles/*/tasks/**/*.yml", "roles/*/handlers/*.yml", "roles/*/vars/*.yml", "roles/*/defaults/*.yml")
FIRST = "{% for a in [1] %}{{ a | default('x', true) | int if a is defined else (a['b'] ~ '-') | combine({}) }}{% endfor %}"

Known = dict[str, CodeType]


def load(collection: Path) -> None:
    """Jinja's grammar, filters and tests, by rendering a template once; and the templates of the collection."""
    from ansible._internal._templating import _jinja_bits
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    templar = Templar(loader=DataLoader(), variables={})
    templar.template(trust_as_template(FIRST))
    known: Known = {}
    with _jinja_bits._TemplateCompileContext(escape_backslashes=True):
        for text in sorted({text for pattern in FILES for path in collection.glob(pattern) for text in _templates(_parsed(path))}):
            with contextlib.suppress(jinja2.TemplateError):  # its run will tell
                known[text] = templar._engine.environment.compile(text)
    _use(known)


def _use(known: Known) -> None:
    """For what Ansible compiles as templates of its own, in an environment with no other settings."""
    from ansible._internal._templating._jinja_bits import AnsibleEnvironment, _TemplateCompileContext

    compile_anew = AnsibleEnvironment.compile

    def compile_(self: Any, source: Any, *arguments: Any, **options: Any) -> Any:
        context = _TemplateCompileContext.current(optional=True)
        if isinstance(source, str) and not (arguments or options or self.overlayed) and context and context.escape_backslashes:
            return known.get(source) or compile_anew(self, source)
        return compile_anew(self, source, *arguments, **options)

    AnsibleEnvironment.compile = compile_


def _parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None  # its run will tell


def _templates(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _templates(each)
    elif isinstance(value, list):
        for each in value:
            yield from _templates(each)
