"""A plan takes a service's parameter and may only narrow it: what the plan accepts, the service accepts too."""

from __future__ import annotations

from ansible_collections.apb.catalog.plugins.module_utils import service_numbers as numbers

LOWERS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
RAISES = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
ONLY_ON = ("x-required", "uniqueItems")  # true narrows, false would widen
ONLY_OFF = ("x-unlimited", "x-updatable", "x-multiline")


def narrowed(schema: dict, limits: dict) -> dict:
    """The parameter's schema with the plan's limits. Raises ValueError(keyword, explanation) where they would widen it."""
    for keyword, limit in limits.items():
        if keyword in schema or keyword in ONLY_OFF:
            _refuse_wider(keyword, schema.get(keyword, False), limit)
    merged = {**schema, **limits}
    if "x-step" in limits and "multipleOf" in schema:
        _refuse_wider("x-step", schema["multipleOf"], limits["x-step"])
        merged["multipleOf"] = merged["x-step"]
    return merged


def _refuse_wider(keyword: str, old, new) -> None:
    if keyword in LOWERS and numbers.exact(new) > numbers.exact(old):
        raise ValueError(keyword, f"{numbers.text(new)} is above the service's {numbers.text(old)}; a plan may only narrow")
    if keyword in RAISES and numbers.exact(new) < numbers.exact(old):
        raise ValueError(keyword, f"{numbers.text(new)} is below the service's {numbers.text(old)}; a plan may only narrow")
    if keyword in ("multipleOf", "x-step") and not numbers.is_multiple(new, old):
        raise ValueError(keyword, f"{numbers.text(new)} is not a multiple of the service's {numbers.text(old)}; a plan may only narrow")
    if keyword == "enum" and any(value not in old for value in new):
        raise ValueError(keyword, "has a value that the service does not allow; a plan may only narrow")
    if keyword in ONLY_ON and old and not new:
        raise ValueError(keyword, "is true for the service; a plan may only narrow")
    if keyword in ONLY_OFF and new and not old:
        raise ValueError(keyword, "is not true for the service; a plan may only narrow")
    if keyword == "pattern" and new != old:
        raise ValueError(keyword, "the service has a pattern already; a plan cannot replace it")
