"""README.md of a service's role, made of its metadata: `python -m apb_broker.authoring.readme [PATH…]` writes it anew.

All of it stands in service.yml, defaults/main.yml or meta/argument_specs.yml; a test keeps the shipped ones equal to what this makes.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.authoring import lines
from apb_broker.authoring import role as roles

MARK = "<!-- Made of the role's metadata by: python -m apb_broker.authoring.readme -->"
BINDING = "app"
LONGEST_DEFAULT = 100


def render(role: roles.Role) -> str:
    """The whole file. Raises ServiceError for a service.yml that is wrong."""
    described = service.load(role.description_path)
    title = service.text(described.metadata.get("displayName", described.name))
    parts = [f"# {title}", MARK, service.text(described.description) + "."]
    if "longDescription" in described.metadata:
        parts.append(service.text(described.metadata["longDescription"]))
    parts.append(_facts(role, described))
    parts += ["## Plans", *(part for plan in described.plans for part in _plan(plan))]
    if described.bindable:
        parts += ["## Bindings", *_bindings(described)]
    settings = list(_settings(role))
    if settings:
        parts += ["## Settings of the operator", _table(("setting", "default", "meaning"), settings)]
    if described.examples:
        parts += ["## Examples", *(_example(described, example) for example in described.examples)]
    return "\n\n".join(parts) + "\n"


def _facts(role: roles.Role, described: service.Service) -> str:
    facts = [f"Service `{described.name}`, category {described.category}, type `{described.type}`."]
    if "documentationUrl" in described.metadata:
        facts.append(f"Documentation of the software: <{described.metadata['documentationUrl']}>.")
    more = role.directory.parent.parent / "docs" / "services" / f"{described.name}.md"
    if more.is_file():
        facts.append(f"More: [docs/services/{more.name}](../../docs/services/{more.name}).")
    return " ".join(facts)


def _plan(plan: service.Plan) -> Iterator[str]:
    yield f"### {plan.name}"
    sentences = [service.text(plan.description) + ".", f"Tenancy: {plan.tenancy}."]
    if plan.updates_to:
        sentences.append(f"Instances can move to {', '.join(f'`{name}`' for name in plan.updates_to)} with their data.")
    yield " ".join(sentences)
    if plan.metadata.get("bullets"):
        yield "\n".join(f"- {service.text(bullet)}" for bullet in plan.metadata["bullets"])
    yield _parameters(plan.parameters) if plan.parameters else "It takes no parameters."
    if plan.fixed:
        yield "It sets " + ", ".join(f"`{name}` to {_code(value)}" for name, value in plan.fixed.items()) + "."
    if plan.needs:
        yield "It needs " + ", ".join(f"`{name}`: {_code(value)}" for name, value in plan.needs.items()) + "."
    known = [(f"`{name}`", _code(value)) for name, value in plan.connection.items()]
    known += [(f"`{name}`", "known when the instance is there") for name in plan.late if name not in plan.connection]
    if known:
        yield "What tenants know of an instance:"
        yield _table(("connection", "value"), known)


def _parameters(schemas: dict[str, Any]) -> str:
    headings = ("parameter", "type", "unit", "min", "max", "step", "default", "can change", "meaning")
    rows = [_parameter(name, schema) for name, schema in schemas.items()]
    filled = [index for index, _ in enumerate(headings) if index in (0, 1, 8) or any(row[index] for row in rows)]
    return _table(tuple(headings[index] for index in filled), [tuple(row[index] for index in filled) for row in rows])


def _parameter(name: str, schema: dict[str, Any]) -> tuple[str, ...]:
    kind = schema["type"] if "enum" not in schema else " or ".join(_code(value) for value in schema["enum"])
    unit = schema.get("x-unit") or {"string": "characters", "array": "entries"}.get(schema["type"], "")
    lowest = _first(schema, "minimum", "exclusiveMinimum", "minLength", "minItems")
    highest = _first(schema, "maximum", "exclusiveMaximum", "maxLength", "maxItems")
    meaning = [service.text(schema[key]) for key in ("description",) if key in schema]
    if "x-hint" in schema:
        meaning.append(f"Has to be {service.text(schema['x-hint'])}")
    meaning += ["Required"] * bool(schema.get("x-required")) + ["Secret: never shown again"] * bool(schema.get("x-sensitive"))
    meaning += ["-1 means: no limit"] * bool(schema.get("x-unlimited"))
    has_limits = bool(lowest or highest)
    default = _code(schema["default"]) if "default" in schema else ""
    step = _first(schema, "multipleOf", "x-step")
    change = "yes" if schema.get("x-updatable") else ""
    return (f"`{name}`", kind, unit if has_limits else "", lowest, highest, step, default, change, ". ".join(meaning))


def _first(schema: dict[str, Any], *keys: str) -> str:
    return next((str(schema[key]) for key in keys if key in schema), "")


def _bindings(described: service.Service) -> Iterator[str]:
    given = (described.bind or {}).get("parameters") or {}
    yield _parameters(given) if given else "A binding takes no parameters."
    required = described.credentials.get("required", ())
    rows = [
        (f"`{name}`", _kind(schema), "always" if name in required else "sometimes")
        for name, schema in described.credentials.get("properties", {}).items()
    ]
    if rows:
        yield "What a binding returns:"
        yield _table(("credential", "type", "there"), rows)


def _kind(schema: Any) -> str:
    if "const" in schema:
        return _code(schema["const"])
    return " or ".join(_code(value) for value in schema["enum"]) if "enum" in schema else str(schema.get("type", "any"))


def _settings(role: roles.Role) -> Iterator[tuple[str, str, str]]:
    specs = role.directory / "meta" / "argument_specs.yml"
    content: Any = lines.read(specs) if specs.is_file() else {}
    options = ((content.get("argument_specs") or {}).get("main") or {}).get("options") or {}
    comments = _comments(role.variables_path("defaults"))
    for name, value in role.variables("defaults").items():
        said = options.get(name, {}).get("description") or comments.get(name, "")
        default = _code(value)
        shown = default if len(default) <= LONGEST_DEFAULT else "see [defaults/main.yml](defaults/main.yml)"
        yield f"`{name}`", shown, _unmarked(" ".join(said) if isinstance(said, list) else said)


def _comments(path: Path) -> dict[str, str]:
    """What stands right above each variable."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if line.startswith("#"):
            above.append(line.removeprefix("#").strip())
            continue
        name = line.partition(":")[0]
        if name and not name.startswith((" ", "-")):
            found[name] = " ".join(above)
        above = []
    return found


def _unmarked(text: str) -> str:
    """Ansible's markup as Markdown: V(x), C(x), O(x) are code."""
    for mark in "VCOM":
        while f"{mark}(" in text:
            before, _, rest = text.partition(f"{mark}(")
            inner, _, after = rest.partition(")")
            text = f"{before}`{inner}`{after}"
    return text


def _example(described: service.Service, example: dict[str, Any]) -> str:
    """The commands of an example, as tenants give them."""
    plan, name = described.plan(example["plan"]), example["name"]
    commands = [["provision", described.name, plan.name, name, *_words(plan.parameters, example.get("parameters", {}))]]
    if "bind" in example:
        commands.append(["bind", name, BINDING, *_words(plan.bind_parameters, example["bind"])])
    if "update" in example:
        commands.append(["update", name, *_words(plan.parameters, example["update"])])
    return "```sh\n" + "\n".join(shlex.join(["apb", *words]) for words in commands) + "\n```"


def _words(schemas: dict[str, Any], given: dict[str, Any]) -> list[str]:
    words = []
    for name, value in given.items():
        if schemas[name].get("x-sensitive") or schemas[name].get("x-multiline"):
            words += ["-p", f"{name}@={name}.txt"]
        else:
            is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
            words += ["-p", f"{name}={value}" if is_plain else f"{name}:={json.dumps(value)}"]
    return words


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{' '.join(text.split())}`" if text else "`''`"


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    table = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |" for row in table)


def write(role: roles.Role) -> Path:
    """Writes the file; where it is."""
    path = role.directory / "README.md"
    path.write_text(render(role), encoding="utf-8")
    return path


if __name__ == "__main__":
    for found in roles.find([Path(word) for word in sys.argv[1:]]):
        sys.stdout.write(f"{write(found)}\n")
