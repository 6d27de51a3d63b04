"""Which test shows which sentence of the specification: `python -m tests.contract.conformance docs/osb.md` writes the table anew.

Owns reading sentences.yml and the part of docs/osb.md that is made of it. That nothing in it is wrong is test_conformance.py's.
"""

import ast
import functools
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MARK = "<!-- from here on written by: python -m tests.contract.conformance docs/osb.md -->"
TESTS = Path(__file__).parents[1]
STRENGTHS = {
    "MUST": ("MUST", "MUST NOT", "REQUIRED"),
    "SHOULD": ("SHOULD", "SHOULD NOT", "RECOMMENDED"),
    "MAY": ("MAY",),
}


@dataclass(frozen=True)
class Sentence:
    """One demand on brokers: where it stands, how strong it is, and what shows it, or why nothing does."""

    section: str
    id: str
    level: str
    says: str
    tests: tuple[str, ...] = ()
    reason: str = ""

    @property
    def strength(self) -> str:
        """MUST, SHOULD or MAY, whichever word is used for it."""
        return next(strength for strength, words in STRENGTHS.items() if self.level in words)


def sentences() -> list[Sentence]:
    """All of them, in the order of the specification. Raises TypeError for a key that means nothing, StopIteration for such a level."""
    found: list[Any] = yaml.safe_load((TESTS / "contract" / "sentences.yml").read_text(encoding="utf-8"))
    return [Sentence(part["section"], **{**entry, "tests": tuple(entry.get("tests", ()))}) for part in found for entry in part["sentences"]]


def exists(test: str) -> bool:
    """Whether there is such a test: FILE::NAME in tests/contract, or FOLDER/FILE::NAME in tests."""
    file, _, name = test.partition("::")
    return name in _names(TESTS / (file if "/" in file else f"contract/{file}"))


@functools.cache
def _names(file: Path) -> frozenset[str]:
    if not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def render() -> str:
    """Counts per section, then each section with its sentences, as Markdown."""
    return "\n\n".join([MARK, *_parts(sentences())]) + "\n"


def _parts(found: list[Sentence]) -> Iterator[str]:
    by_section = {section: [one for one in found if one.section == section] for section in dict.fromkeys(one.section for one in found)}
    tested = sum(bool(one.tests) for one in found)
    yield f"{len(found)} sentences: {tested} with tests, {len(found) - tested} with a reason why there is none."
    counts = [(section, *_counts(inside)) for section, inside in by_section.items()]
    yield _table(("section", *STRENGTHS, "with tests", "with a reason"), [*counts, ("**all**", *_counts(found))])
    for section, inside in by_section.items():
        yield f"### {section}"
        yield _table(
            ("sentence", "level", "what it asks", "shown by"), [(f"`{one.id}`", one.level, one.says, _shown(one)) for one in inside]
        )


def _counts(inside: list[Sentence]) -> tuple[str, ...]:
    strengths = Counter(one.strength for one in inside)
    tested = sum(bool(one.tests) for one in inside)
    numbers = (*(strengths[strength] for strength in STRENGTHS), tested, len(inside) - tested)
    return tuple(str(number) if number else "" for number in numbers)


def _shown(one: Sentence) -> str:
    return "<br>".join(f"`{test.replace('::', ' ')}`" for test in one.tests) or f"– {one.reason}"


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def rewritten(document: str) -> str:
    """The document with its table made anew; what stands before the mark is written by people."""
    return document.partition(MARK)[0] + render()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
