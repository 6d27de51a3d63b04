"""The operator's expressions: what is looked up without Jinja is what Jinja would find."""

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import service_expressions as expressions

VARIABLES = {"parameters": {"size": 0.5, "tags": ["a", "b"], "items": None, "1": "one"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ parameters.size }}", 0.5),
        ("{{ parameters['size'] }}", 0.5),
        ("{{- parameters.items -}}", None),
        ("{{ parameters }}", VARIABLES["parameters"]),
        ("{{ parameters.tags[1] }}", "b"),
        ("{{ parameters['1'] }}", "one"),
        ("{{ parameters.size | string }}", "0.5"),
        ("{{ parameters.size | default(1) }}", 0.5),
        ("{{ parameters.absent | default(none) }}", None),
        ("{{ parameters.items | default('x') }}", None),
        ("{{ absent | default([]) }}", []),
        ("{{ absent | default(2) }}", 2),
        ("{{ parameters.items | default('x', true) }}", "x"),
        ("{{ parameters.absent | default(parameters.size) }}", 0.5),
        ("{{ parameters.size }} GB", "0.5 GB"),
        ("{# nothing #}no expression{{ '' }}", "no expression"),
        ("{# nothing #}plain", "plain"),
        ("", ""),
    ],
)
def test_expression_keeps_the_type_of_what_it_reads(text: str, value: object) -> None:
    """A whole expression is its value, text around one makes a string."""
    assert expressions.render({"field": [text]}, VARIABLES) == {"field": [value]}


@pytest.mark.parametrize(
    "text",
    ["{{ parameters.absent }}", "{{ absent }}", "{{ parameters[1] }}", "{{ parameters.__class__ }}", "{{ parameters.a.b | default(1) }}"],
)
def test_expression_that_leads_nowhere_is_refused(text: str) -> None:
    """Data has entries and not the methods of dictionaries; a number is not the name of one."""
    with pytest.raises(expressions.ExpressionError, match="cannot be evaluated"):
        expressions.render(text, VARIABLES)
