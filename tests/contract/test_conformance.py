"""Every sentence of the specification that binds brokers is shown by a test, or has a reason why not; docs/osb.md says which."""

import ast
from pathlib import Path

import pytest

from tests.contract import conformance
from tests.contract.conformance import Sentence

DOCUMENT = Path(__file__).parents[2] / "docs" / "osb.md"
SENTENCES = conformance.sentences()


@pytest.mark.parametrize("one", SENTENCES, ids=lambda one: one.id)
def test_sentence_is_shown_or_has_a_reason(one: Sentence) -> None:
    """One of both, never neither, and every test that is named exists."""
    assert bool(one.tests) != bool(one.reason.strip())
    assert one.says.strip()
    assert one.strength
    assert [test for test in one.tests if not conformance.exists(test)] == []


def test_sentences_have_ids_of_their_own() -> None:
    """So that they can be talked about, and none is listed twice."""
    ids = [one.id for one in SENTENCES]
    assert len(set(ids)) == len(ids)


def test_sentences_cover_the_specification() -> None:
    """A section that is lost from the list would lose its tests without anybody noticing."""
    routes = ["Provisioning", "Fetching a Service Instance", "Updating a Service Instance", "Deprovisioning"]
    routes += ["Binding", "Fetching a Service Binding", "Unbinding", "Catalog Management"]
    routes += [f"Polling Last Operation for Service {what}" for what in ("Instances", "Bindings")]
    assert set(routes) <= {one.section for one in SENTENCES}
    assert len(SENTENCES) >= 230


def test_test_that_does_not_exist_is_noticed() -> None:
    """The check above can fail: for a name, a file, and a helper that is no test."""
    assert conformance.exists("test_conformance.py::test_test_that_does_not_exist_is_noticed")
    assert not conformance.exists("test_conformance.py::test_that_nobody_wrote")
    assert not conformance.exists("test_nothing.py::test_that_nobody_wrote")
    assert not conformance.exists("test_order.py::wrong_answers")


def test_table_in_the_documentation_is_current() -> None:
    """`python -m tests.contract.conformance docs/osb.md` would change nothing."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert conformance.MARK in text
    assert text == conformance.rewritten(text)


def test_contract_tests_name_their_section() -> None:
    """The docstring of each test begins with the section it is about (two files are about one thing each, and say it at their head)."""
    sections = {one.section for one in SENTENCES} | {"Catalog", "Fetching", "Updating", "Polling Last Operation", "Blocking Operations"}
    named = {test for one in SENTENCES for test in one.tests if "/" not in test}
    for file in {test.partition("::")[0] for test in named} - {"test_order.py", "test_access.py"}:
        for node in ast.parse((Path(__file__).parent / file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and f"{file}::{node.name}" in named:
                said = (ast.get_docstring(node) or "").partition(":")[0]
                assert any(section in said for section in sections), f"{file}::{node.name}: {said}"
