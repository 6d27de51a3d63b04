"""The operator's expressions in service.yml: sandboxed Jinja2 whose template text is the operator's and whose values are only data.

A value that is one whole `{{ expression }}` keeps its type; text around expressions makes a string. Values are never rendered again nor
read as Python (jinja2's native mode would turn a tenant's "12" into a number), so a seeming template in a tenant's string stays that.
"""

from __future__ import annotations

import functools


class ExpressionError(Exception):
    """An expression cannot be compiled or rendered."""


def render(value, variables: dict):
    """value with every expression in it replaced, recursively through lists and dictionaries. Raises ExpressionError."""
    return compiled(value)(variables)


def compiled(value):
    """A function that renders value, from variables; for what is rendered again and again. Raises ExpressionError."""
    if isinstance(value, dict):
        entries = [(key, compiled(inner)) for key, inner in value.items()]
        return lambda variables: {key: rendered(variables) for key, rendered in entries}
    if isinstance(value, list):
        items = [compiled(inner) for inner in value]
        return lambda variables: [rendered(variables) for rendered in items]
    return _compiled(value) if isinstance(value, str) else lambda _variables: value


def paths(value) -> set[tuple[str, ...]]:
    """The variables an expression reads, as far as they are named: {("parameters", "memory"), ("instance", "ports", "client")}.

    Compiles every expression on the way: raises ExpressionError for a broken one.
    """
    if isinstance(value, dict):
        return set().union(*(paths(inner) for inner in value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*(paths(inner) for inner in value)) if value else set()
    if not isinstance(value, str):
        return set()
    _compiled(value)
    return _paths_of(_parsed(value))


@functools.lru_cache(maxsize=512)
def _compiled(text: str):
    """A function from variables to the rendered value."""
    import jinja2
    from jinja2 import nodes

    body = _parsed(text).body
    try:
        whole = len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1
        if whole and not isinstance(body[0].nodes[0], nodes.TemplateData):
            inner = text[2:-2].removeprefix("-").removesuffix("-")  # whitespace control
            expression = _environment().compile_expression(inner, undefined_to_none=False)
            return _looked_up(body[0], _evaluation(text, lambda variables: expression(**variables)))
        if all(isinstance(part, nodes.Output) and all(isinstance(one, nodes.TemplateData) for one in part.nodes) for part in body):
            plain = _environment().from_string(text).render()
            return lambda _variables: plain
        return _evaluation(text, _environment().from_string(text).render)
    except jinja2.TemplateError as error:
        raise ExpressionError(f"{text!r} is not a valid expression: {error}") from error


def _evaluation(text: str, evaluate):
    """The same function, with an error that says which text it was."""
    import jinja2

    def value(variables: dict):
        try:
            result = evaluate(variables)
            if isinstance(result, jinja2.Undefined):
                str(result)  # a strict undefined raises with its own explanation
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise ExpressionError(f"{text!r} cannot be evaluated: {error}") from error
        return result

    return value


def _looked_up(output, expression):
    """What a path leads to through dictionaries, without Jinja, which takes ten times as long. All else is left to Jinja."""
    node, default = _without_default(output.nodes[0])
    path = _keys_of(output, node)

    def value(variables: dict):
        found, steps = variables, len(path)
        for key in path:
            if not isinstance(found, dict) or key not in found:
                return default.value if default is not None and steps == 1 and isinstance(found, dict) else expression(variables)
            found, steps = found[key], steps - 1
        return found

    return value if path else expression


def _without_default(node):
    """What `default(constant)` is applied to, and the constant; otherwise the node itself, and None."""
    from jinja2 import nodes

    is_default = isinstance(node, nodes.Filter) and node.name == "default" and len(node.args) == 1 and not node.kwargs
    if not is_default or not isinstance(node.args[0], nodes.Const) or node.dyn_args or node.dyn_kwargs:
        return node, None
    return node.node, node.args[0]


def _keys_of(output, node) -> tuple[str, ...]:
    """The path that an expression is, if it is nothing else and each step is a name."""
    from jinja2 import nodes

    steps = [node.arg for node in output.find_all(nodes.Getitem)]
    are_names = all(isinstance(step, nodes.Const) and isinstance(step.value, str) for step in steps)
    return _path_of(node) if are_names else ()


def _parsed(text: str):
    import jinja2

    try:
        return _environment().parse(text)
    except jinja2.TemplateError as error:
        raise ExpressionError(f"{text!r} is not a valid expression: {error}") from error


def _paths_of(tree) -> set[tuple[str, ...]]:
    from jinja2 import nodes

    found = set()
    inner = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Name)):
        path = _path_of(node)
        if path and id(node) not in inner:
            found.add(path)
            while isinstance(node, (nodes.Getattr, nodes.Getitem)):
                node = node.node
                inner.add(id(node))
    return {path for path in found if path[0] not in _assigned(tree)}


def _assigned(tree) -> set[str]:
    from jinja2 import nodes

    return {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}


def _path_of(node) -> tuple[str, ...]:
    """("instance", "ports", "client") for instance.ports.client or instance['ports'].client; () when it is computed."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        before = _path_of(node.node)
        return (*before, node.attr) if before else ()
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        before = _path_of(node.node)
        return (*before, str(node.arg.value)) if before else ()
    return ()


@functools.lru_cache(maxsize=1)
def _environment():
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        def getattr(self, obj, attribute):
            """Data has entries, not methods: a parameter may be called `items`."""
            if isinstance(obj, dict):
                return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
            return super().getattr(obj, attribute)

    environment = Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # no HTML anywhere near
    environment.globals.clear()
    return environment
