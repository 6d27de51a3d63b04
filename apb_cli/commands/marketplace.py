"""`apb marketplace`: what can be had, and what it takes."""

from typing import Annotated, Any

import typer

from apb_cli import names, output
from apb_cli.options import Session, connected

Service = Annotated[
    str | None, typer.Argument(metavar="SERVICE", help="Show this service's plans and their parameters.", show_default=False)
]


def register(app: typer.Typer, panel: str) -> None:
    """Adds the command."""
    app.command(rich_help_panel=panel)(connected(marketplace))


def marketplace(session: Session, service: Service = None) -> None:
    """List the services and plans that are offered; with SERVICE its parameters, their units, defaults and limits."""
    services = session.client.catalog()
    if service is None:
        session.out.result(lambda: [_described(offered) for offered in services], lambda: _show_all(session.out, services))
        return
    offered = names.service(services, service)
    session.out.result(lambda: _described(offered), lambda: _show_one(session.out, offered))


def _described(offered: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": offered["name"],
        "id": offered["id"],
        "description": offered["description"],
        "tags": offered.get("tags", []),
        "bindable": offered["bindable"],
        "plans": [
            {"name": plan["name"], "id": plan["id"], "description": plan["description"], "schemas": plan.get("schemas", {})}
            for plan in offered["plans"]
        ],
    }


def _show_all(out: output.Output, services: list[dict[str, Any]]) -> None:
    rows = [(service["name"], plan["name"], service["description"]) for service in services for plan in service["plans"]]
    out.table(("SERVICE", "PLAN", "DESCRIPTION"), rows, empty="nothing is offered: apb.yml lists no offers")


def _show_one(out: output.Output, service: dict[str, Any]) -> None:
    out.line(f"{service['name']}: {service['description']}")
    for plan in service["plans"]:
        out.line(f"\nPlan {plan['name']}: {plan['description']}")
        _show_parameters(out, names.parameters_schema(plan, "service_instance", "create"), "takes no parameters")
        if bind := names.parameters_schema(plan, "service_binding", "create").get("properties"):
            out.line("\nParameters of a binding:")
            _show_parameters(out, {"properties": bind}, "")


def _show_parameters(out: output.Output, schema: dict[str, Any], empty: str) -> None:
    required = schema.get("required", [])
    rows = [
        (
            name,
            part.get("type"),
            part.get("x-unit"),
            _default(name, part, required),
            limits(part),
            _traits(part),
            part.get("description", part.get("title")),
        )
        for name, part in schema.get("properties", {}).items()
    ]
    out.table(("PARAMETER", "TYPE", "UNIT", "DEFAULT", "LIMITS", "", "DESCRIPTION"), rows, empty=empty)


def _default(name: str, part: dict[str, Any], required: list[str]) -> Any:
    if name in required and "default" not in part:
        return "(required)"
    return part.get("default")


def _traits(part: dict[str, Any]) -> str:
    traits = {"x-updatable": "updatable", "x-sensitive": "secret"}
    return ", ".join(word for key, word in traits.items() if part.get(key) is True) or " "


def limits(part: dict[str, Any]) -> str:
    """What a schema allows, in few words: "0.1 to 4, step 0.1"."""
    said = []
    if "enum" in part:
        said.append(" or ".join(str(value) for value in part["enum"]))
    if number := _range(part.get("minimum"), part.get("maximum")):
        said.append(number)
    if step := part.get("multipleOf", part.get("x-step")):
        said.append(f"step {step}")
    if length := _range(part.get("minLength"), part.get("maxLength")):
        said.append(f"{length} characters")
    if part.get("x-unlimited"):
        said.append("-1 is unlimited")
    return ", ".join(said)


def _range(low: Any, high: Any) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"from {low}"
    return "" if high is None else f"up to {high}"
