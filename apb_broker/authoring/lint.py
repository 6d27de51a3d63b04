"""`apb lint`: every rule on every role, and what they found, in the order of files.

Owns the table of rules. What a rule asks for is its own docstring, which docs/writing-a-service.md repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from apb_broker.authoring import role as roles
from apb_broker.authoring import tasks
from apb_broker.authoring.findings import Finding, Rule
from apb_broker.authoring.rules import actions, description, files, secrets, variables

RULES = (
    Rule(description.service_description),
    Rule(description.parameter_description),
    Rule(description.examples),
    Rule(description.late_fields),
    Rule(description.published_credentials),
    Rule(files.readable_files),
    Rule(files.task_files),
    Rule(files.client),
    Rule(files.included_files),
    Rule(variables.defaults_names),
    Rule(variables.constants_names),
    Rule(variables.documented_defaults),
    Rule(variables.registers_names),
    Rule(variables.contract_variables),
    Rule(actions.full_module_names),
    Rule(actions.no_installation),
    Rule(actions.no_start),
    Rule(actions.fence_first),
    Rule(actions.no_facts),
    Rule(actions.nothing_made_up),
    Rule(secrets.secrets_on_command_lines),
    Rule(secrets.shown_secrets),
    Rule(actions.module_tasks, is_warning=True),
)


@dataclass(frozen=True, order=True)
class Line:
    """One finding of one rule."""

    finding: Finding
    rule: str
    is_warning: bool = False

    def __str__(self) -> str:
        """As it is shown: path:line: rule: sentence."""
        kind = " (warning)" if self.is_warning else ""
        return f"{shown_path(self.finding.path)}:{self.finding.line}: {self.rule}{kind}: {self.finding.message}"

    def document(self) -> dict[str, str | int]:
        """For programs."""
        return {
            "path": shown_path(self.finding.path),
            "line": self.finding.line,
            "rule": self.rule,
            "severity": "warning" if self.is_warning else "error",
            "message": self.finding.message,
        }


def shown_path(path: Path) -> str:
    """Relative to where the user is, when it is below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def check(found: list[roles.Role]) -> list[Line]:
    """What all rules find in these roles, each place in the order of its file."""
    tasks.read.cache_clear()
    return sorted(set(_all(found)))


def _all(found: list[roles.Role]) -> Iterator[Line]:
    for role in found:
        for rule in RULES:
            yield from _lines(rule.name, rule.check(role), is_warning=rule.is_warning)
    yield from _lines("unique-ids", description.unique_ids(found))


def _lines(rule: str, findings: Iterable[Finding], *, is_warning: bool = False) -> Iterator[Line]:
    return (Line(finding, rule, is_warning) for finding in findings)


def meanings() -> dict[str, str]:
    """Every rule's name and what it asks for."""
    return {rule.name: rule.meaning for rule in RULES} | {"unique-ids": " ".join((description.unique_ids.__doc__ or "").split())}
