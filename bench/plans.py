"""The statements that something sends to PostgreSQL, each with how it was carried out there (EXPLAIN ANALYZE, BUFFERS)."""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy

LARGE = 1000
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
EXPLAINABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")

Plan = dict[str, Any]


def of(engine: sqlalchemy.Engine, call: Callable[[], object]) -> list[Plan]:
    """[{"statement", "plan"}] of what the call sends through SQLAlchemy.

    Each statement is explained just before it is carried out, in a transaction or savepoint that is rolled back: so it finds the same
    rows, and is carried out once. (`storage.insertion` sends its INSERTs past SQLAlchemy; they look nothing up.)
    """
    found: list[Plan] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if many or not statement.lstrip().startswith(EXPLAINABLE):
            return
        driver = cursor.connection
        begin, back = ("BEGIN", "ROLLBACK") if driver.autocommit else ("SAVEPOINT explained", "ROLLBACK TO SAVEPOINT explained")
        with driver.cursor() as ours:
            ours.execute(begin)
            ours.execute(EXPLAIN + statement, parameters)
            (plan,) = ours.fetchone()
            ours.execute(back)
        found.append({"statement": " ".join(statement.split()), "plan": plan[0]})

    sqlalchemy.event.listen(engine, "before_cursor_execute", explain)
    try:
        call()
    finally:
        sqlalchemy.event.remove(engine, "before_cursor_execute", explain)
    return found


def nodes(plan: Plan) -> Iterator[Plan]:
    """All steps of a plan."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def read(node: Plan) -> float:
    """How many rows a step looked at, all its loops together."""
    each = sum(node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"))
    return float(each * node.get("Actual Loops", 1))


def large(found: list[Plan]) -> Iterator[str]:
    """A line for each step that reads many rows of a table."""
    for one in found:
        for node in nodes(one["plan"]["Plan"]):
            if "Relation Name" in node and read(node) > LARGE:
                yield f"{_title(node)}, {read(node):,.0f} rows, {one['plan']['Execution Time']:.1f} ms: {one['statement'][:100]}…"


def _title(node: Plan) -> str:
    by = f" by {node['Index Name']}" if "Index Name" in node else ""
    return f"{node['Node Type']} of {node['Relation Name']}{by}"


def text(name: str, found: list[Plan]) -> str:
    """The statements and their plans for people, one step a line."""
    lines = [f"== {name}"]
    for one in found:
        lines += ["", one["statement"], f"-- {one['plan']['Execution Time']:.3f} ms"]
        lines += list(_steps(one["plan"]["Plan"], 1))
    return "\n".join(lines)


def _steps(node: Plan, depth: int) -> Iterator[str]:
    what = (
        _title(node) if "Relation Name" in node else str(node["Node Type"]) + (f" by {node['Index Name']}" if "Index Name" in node else "")
    )
    rows, pages = node.get("Actual Rows", 0), node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0)
    conditions = [f"{name}: {node[name]}" for name in ("Index Cond", "Filter") if name in node]
    yield "  " * depth + ", ".join([what, f"{rows:g} rows × {node.get('Actual Loops', 1):g}", f"{pages} pages", *conditions])
    for below in node.get("Plans", ()):
        yield from _steps(below, depth + 1)
