"""docs/writing-a-service.md lists the rules of `apb lint` in their own words, and every key of service.yml."""

from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import service_schema

from apb_broker.authoring import lint

DOCUMENT = (Path(__file__).parents[3] / "docs" / "writing-a-service.md").read_text(encoding="utf-8")
SECTION = "## 7. What `apb lint` asks for"


def test_documentation_has_every_rule_in_its_own_words() -> None:
    """The table is made of the docstrings: no rule is missing, none is there that is gone."""
    section = DOCUMENT.partition(SECTION)[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    warnings = {rule.name for rule in lint.RULES if rule.is_warning}
    expected = [f"| `{name}`{' (warning)' if name in warnings else ''} | {meaning} |" for name, meaning in lint.meanings().items()]
    assert rows == expected


def test_documentation_has_every_key_of_a_service() -> None:
    """Of service.yml itself, of a parameter (what JSON Schema has not) and of a plan."""
    keys = [*service_schema.SERVICE_SCHEMA["properties"], *service_schema.PLAN["properties"]]
    keys += [key for key in (*service_schema.VALUE_KEYWORDS, *service_schema.PARAMETER_ONLY) if key.startswith("x-")]
    assert [key for key in keys if f"`{key}" not in DOCUMENT] == []
