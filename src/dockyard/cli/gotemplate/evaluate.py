"""Turns a tree of nodes and a value into text, as Go's text/template and Docker's functions do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.cli.gotemplate.parse import Assign, Branch, Node, Operand, Pipeline, Print, Text


class Words(dict[str, str]):
    """A Go map of strings: what is not in it is empty, and no mistake."""


class Scope:
    """The variables that a body sees."""

    def __init__(self, dot: Any, variables: dict[str, Any]) -> None:
        self.dot, self.variables = dot, variables


def plain(value: Any) -> Any:
    """Without what only a template can call."""
    if not isinstance(value, dict):
        return value
    return {name: member for name, member in value.items() if not callable(member)}


def evaluate(nodes: tuple[Node, ...], value: Any) -> str:
    """The text. Raises :class:`Invalid` for a field that is not there."""
    return _body(nodes, Scope(value, {"$": value}))


def _body(nodes: tuple[Node, ...], scope: Scope) -> str:
    scope = Scope(scope.dot, dict(scope.variables))
    out = []
    for node in nodes:
        if isinstance(node, Text):
            out.append(node.text)
        elif isinstance(node, Print):
            out.append(printed(_pipe(node.pipeline, scope)))
        elif isinstance(node, Assign):
            scope.variables[node.name] = _pipe(node.pipeline, scope)
        else:
            out.append(_branch(node, scope))
    return "".join(out)


def _branch(node: Branch, scope: Scope) -> str:
    value = _pipe(node.pipeline, scope)
    if node.kind == "range":
        return _range(node, value, scope)
    inner = Scope(value if node.kind == "with" else scope.dot, dict(scope.variables))
    if node.names:
        inner.variables[node.names[0]] = value
    if _truth(value):
        return _body(node.body, inner)
    return _body(node.otherwise, scope)


def _range(node: Branch, value: Any, scope: Scope) -> str:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = sorted(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    elif value is not None:
        raise Invalid(f"template: range can't iterate over {printed(value)[:40]}")
    out = []
    for key, item in items:
        bound = {node.names[-1]: item} if node.names else {}
        if len(node.names) > 1:
            bound[node.names[0]] = key
        out.append(_body(node.body, Scope(item, {**scope.variables, **bound})))
    return "".join(out) if items else _body(node.otherwise, scope)


def _pipe(pipeline: Pipeline, scope: Scope) -> Any:
    """Each command's value is the last argument of the next."""
    passed: tuple[Any, ...] = ()
    for first, *others in pipeline:
        if first.kind == "function":
            function = FUNCTIONS.get(first.value)
            if function is None:
                raise Invalid(f"template: function {first.value!r}: not implemented; there are "
                              f"{', '.join(sorted(FUNCTIONS))}")  # fmt: skip
            arguments = [_value(operand, scope) for operand in others]
            try:
                passed = (function(*arguments, *passed),)
            except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
                raise Invalid(f"template: {first.value}: {error}") from error
        elif callable(found := _value(first, scope, called=not (others or passed))):
            passed = (_called(found, [_value(each, scope) for each in others], passed),)
        elif others or passed:
            raise Invalid("template: a value is used as a function")
        else:
            passed = (found,)
    return passed[0]


def _called(method: Callable[..., Any], arguments: list[Any], passed: tuple[Any, ...]) -> Any:
    """A method of a row, such as ``.Label "app"``."""
    try:
        return method(*arguments, *passed)
    except TypeError:
        raise Invalid("template: wrong number of arguments for a method") from None


def _value(operand: Operand, scope: Scope, *, called: bool = True) -> Any:
    """``called``: whether a method that is named is called, without arguments."""
    if operand.kind == "dot":
        found = scope.dot
    elif operand.kind == "variable":
        if operand.value not in scope.variables:
            raise Invalid(f"template: undefined variable {operand.value!r}")
        found = scope.variables[operand.value]
    elif operand.kind == "pipeline":
        found = _pipe(operand.value, scope)
    elif operand.kind == "function":
        found = _pipe(((operand,),), scope)
    else:
        found = operand.value
    for name in operand.fields:
        if not isinstance(found, dict):
            raise Invalid(f"template: <.{name}>: nil or no object has no such field")
        if name not in found and isinstance(found, Words):
            found = ""
            continue
        if name not in found:
            raise Invalid(f'template: map has no entry for key "{name}"')
        found = found[name]
    return _called(found, [], ()) if called and callable(found) else found


def _truth(value: Any) -> bool:
    return bool(value)


def printed(value: Any) -> str:
    """As Go's fmt prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<no value>"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(printed, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{printed(v)}" for k, v in sorted(value.items())) + "]"
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, (list, str)):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise ValueError(f"index out of range: {key}")
            value = value[key]
        else:
            raise ValueError(f"can't index {printed(value)[:40]}")
    return value


def _printf(form: str, *values: Any) -> str:
    out, rest = [], list(values)
    pieces = form.replace("%%", "\0").split("%")
    out.append(pieces[0])
    for piece in pieces[1:]:
        value = rest.pop(0)
        out.append((json.dumps(value) if piece[:1] == "q" else printed(value)) + piece[1:])
    return "".join(out).replace("\0", "%")


def _json(*values: Any) -> str:
    if len(values) != 1:
        raise ValueError(f"wrong number of args for json: want 1 got {len(values)}")
    return json.dumps(plain(values[0]), separators=(",", ":"))


def _and(*values: Any) -> Any:
    return next((value for value in values if not _truth(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if _truth(value)), values[-1])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _and,
    "eq": lambda first, *others: any(first == other for other in others),
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "index": _index,
    "join": lambda items, separator: separator.join(map(printed, items or ())),
    "json": _json,
    "le": lambda a, b: a <= b,
    "len": len,
    "lower": lambda text: text.lower(),
    "lt": lambda a, b: a < b,
    "ne": lambda a, b: a != b,
    "not": lambda value: not _truth(value),
    "or": _or,
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
    "print": lambda *values: "".join(map(printed, values)),
    "printf": _printf,
    "println": lambda *values: " ".join(map(printed, values)) + "\n",
    "slice": lambda value, start=0, end=None: value[start:end],
    "split": lambda text, separator: text.split(separator),
    "title": lambda text: text[:1].upper() + text[1:],
    "truncate": lambda text, size: text[:size],
    "upper": lambda text: text.upper(),
}
