"""Which expressions of a role read a secret: the contract's, a sensitive parameter, or one of the role's own variables made of those."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apb_broker.authoring import lines, tasks
from apb_broker.authoring.role import Role

# What must not be shown: named, or as part of all there is of an instance or binding.
_READS_ONE = (
    r"apb_instance(\.|\[['\"])secrets\b|apb_binding(\.|\[['\"])password\b|apb_server(\.|\[['\"])password\b"
    r"|apb_bindings\b[^}]*password|\bapb_(instance|bindings?|server)\b(?!\s*(\.|\[|is\b))"
)
# Names, numbers and other fields of what holds secrets.
_HARMLESS = re.compile(r"\w+\.keys\(\)|\w+(\s*\|\s*default\([^()]*\))?\s*\|\s*(map\(\s*attribute='(?!password)\w+'\s*\)|length|count)")


def secret_pattern(role: Role) -> re.Pattern[str]:
    """What an expression says that reads a secret: the contract's, sensitive parameters, and the role's own variables made of them."""
    sensitive = {
        name
        for plan in (role.description.plans if role.description else ())
        for schemas in (plan.parameters, plan.bind_parameters)
        for name, schema in schemas.items()
        if schema.get("x-sensitive")
    }
    words = [_READS_ONE, *(rf"parameters(\.|\[['\"]){re.escape(name)}\b" for name in sorted(sensitive))]
    given = [(name, lines.texts(value)) for name, value in _given_names(role)]
    while True:
        pattern = re.compile("|".join(words))
        more = {name for name, texts in given if any(mentions(pattern, text) for text in texts)}
        new = [rf"\b{re.escape(name)}\b" for name in sorted(more) if rf"\b{re.escape(name)}\b" not in words]
        if not new:
            return pattern
        words += new


def _given_names(role: Role) -> Iterator[tuple[str, Any]]:
    for folder in ("defaults", "vars"):
        yield from role.variables(folder).items()
    for task in role.tasks:
        yield from (task.raw.get("vars") or {}).items()
        if task.module == "ansible.builtin.set_fact":
            yield from task.args.items()
    for path in role.task_files:
        for block in tasks.blocks(path):
            yield from (block.get("vars") or {}).items()


_EXPRESSION = re.compile(r"{{(.*?)}}|{%(.*?)%}", re.DOTALL)


def mentions(pattern: re.Pattern[str], text: str) -> bool:
    """Whether one of the expressions in a text reads what the pattern names."""
    return any(pattern.search(_HARMLESS.sub("", found.group(0))) for found in _EXPRESSION.finditer(text))
