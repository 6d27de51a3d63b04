"""docs/schemas is what the code accepts."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from apb_broker.catalog import schemas

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", sorted(schemas.published()))
def test_published_schema_is_current(name):
    """Regenerate with: python -m apb_broker.catalog.schemas."""
    assert (ROOT / "docs" / "schemas" / name).read_text(encoding="utf-8") == schemas.published()[name]


def test_nothing_else_is_published():
    """A renamed schema does not leave its old file behind."""
    assert {file.name for file in (ROOT / "docs" / "schemas").glob("*.json")} == set(schemas.published())


def validator(name):
    schema = yaml.safe_load((ROOT / "docs" / "schemas" / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", sorted(ROOT.glob("roles/*/meta/service.yml")), ids=lambda file: file.parts[-3])
def test_shipped_service_fits_the_published_schema(file):
    """An editor with the published schema marks nothing in our own roles."""
    validator("service.schema.json").validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_working_configuration_fits_the_published_schema(raw):
    """And one with a computed or unknown field does not."""
    validator("apb.schema.json").validate(raw)
    assert not validator("apb.schema.json").is_valid({**raw, "path": "/etc"})
    raw["targets"]["local"]["name"] = "x"
    assert not validator("apb.schema.json").is_valid(raw)


def test_schemas_can_be_written_elsewhere(tmp_path):
    """The generator takes a folder."""
    schemas.write(tmp_path / "new")
    assert {file.name for file in (tmp_path / "new").iterdir()} == set(schemas.published())
