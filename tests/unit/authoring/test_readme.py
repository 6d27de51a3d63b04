"""README files of roles: the shipped ones are what their metadata makes, and a new service's says all that there is to know."""

from pathlib import Path

import pytest

from apb_broker.authoring import readme, role, scaffold

ROOT = Path(__file__).parents[3]
SHIPPED = role.find([ROOT])


@pytest.mark.parametrize("found", SHIPPED, ids=lambda found: found.name)
def test_readme_is_that_of_the_metadata(found: role.Role) -> None:
    """`python -m apb_broker.authoring.readme` would change nothing."""
    assert (found.directory / "README.md").read_text(encoding="utf-8") == readme.render(found)


def test_readme_says_what_tenants_and_operators_may_set(tmp_path: Path) -> None:
    """Plans with limits, credentials, settings with defaults, examples as commands."""
    made = scaffold.make("hello", services_path=tmp_path)
    text = readme.render(role.Role(made.role))
    assert "| `greeting` | string | characters | 1 | 20 | `hello` | yes | What everybody is greeted with |" in text
    assert "Instances can move to `hello-large` with their data." in text
    assert "| `password` | string | always |" in text
    assert "| `hello_ending` | `!` | What every greeting ends with. |" in text
    assert "apb provision hello hello-small small -p 'greeting=good morning'\napb bind small app\n" in text


def test_settings_are_explained_by_their_comments_without_argument_specs(tmp_path: Path) -> None:
    """What stands right above a variable in defaults/main.yml."""
    made = scaffold.make("hello", services_path=tmp_path)
    (made.role / "meta" / "argument_specs.yml").unlink()
    assert "| `hello_ending` | `!` | What every greeting ends with. |" in readme.render(role.Role(made.role))
