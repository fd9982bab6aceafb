"""Turns a JSONPath template (``{.items[*].metadata.name}``) and an object into text.

The dialect of kubectl (kubernetes.io, "JSONPath Support"): text stands outside of braces; inside
are paths, quoted text, and ``range`` ... ``end``. A field that is missing prints nothing.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge,
    "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_FIELD = re.compile(r"(?:[^\s.\[\]{}()'\"$@|,=<>!?\\]|\\.)+")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?\Z")
_FILTER = re.compile(r"\?\((.*)\)\Z", re.DOTALL)
_COMPARE = re.compile(r"(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+)\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Step(NamedTuple):
    """One step of a path: from values to the values below them."""

    kind: str
    """``field``, ``all``, ``deep``, ``index``, ``slice``, ``names`` or ``filter``."""
    value: Any = None


class Text(NamedTuple):
    """Printed as it is."""

    text: str


class Path(NamedTuple):
    """Its values are printed, with a space between them."""

    steps: tuple[Step, ...]
    from_root: bool = False


class Range(NamedTuple):
    """Its body is printed once for each value."""

    path: Path
    body: tuple[Any, ...]


def render(template: str, obj: Any) -> str:
    """The text of a template for one object. Raises Invalid."""
    return parse(template)(obj)


def parse(template: str) -> Callable[[Any], str]:
    """The template as a function. Raises Invalid, naming what was expected."""
    nodes, rest = _body(_pieces(template), template, inside=False)
    if rest:
        raise Invalid(f"jsonpath: {template}: {{end}} without {{range}}")
    return lambda obj: "".join(_printed(nodes, obj, obj))


def _pieces(template: str) -> list[tuple[bool, str]]:
    """Text and what is in braces, in order; quoted braces do not count."""
    found: list[tuple[bool, str]] = []
    at = 0
    while at < len(template):
        opening = template.find("{", at)
        if opening < 0:
            found.append((False, template[at:]))
            break
        if opening > at:
            found.append((False, template[at:opening]))
        end, quote = opening + 1, ""
        while end < len(template) and (quote or template[end] != "}"):
            character = template[end]
            if character == "\\" and quote:
                end += 1
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
            end += 1
        if end >= len(template):
            raise Invalid(f"jsonpath: {template}: unclosed action: a }} is missing")
        found.append((True, template[opening + 1 : end].strip()))
        at = end + 1
    return found


def _body(
    pieces: list[tuple[bool, str]], template: str, *, inside: bool
) -> tuple[tuple[Any, ...], list[tuple[bool, str]]]:
    nodes: list[Any] = []
    while pieces:
        is_action, text = pieces[0]
        pieces = pieces[1:]
        if not is_action:
            nodes.append(Text(text))
        elif text == "end":
            if not inside:
                return tuple(nodes), [(True, text)]
            return tuple(nodes), pieces
        elif text == "range" or text.startswith(("range ", "range.")):
            path = _path(text[len("range") :].strip(), template)
            body, pieces = _body(pieces, template, inside=True)
            nodes.append(Range(path, body))
        else:
            nodes += _action(text, template)
    if inside:
        raise Invalid(f"jsonpath: {template}: {{range}} without {{end}}")
    return tuple(nodes), []


def _action(text: str, template: str) -> list[Any]:
    """What is in one pair of braces: paths and quoted text, one after the other."""
    nodes: list[Any] = []
    while text:
        if text[0] in "'\"":
            said, text = _quoted(text, template)
            nodes.append(Text(said))
        else:
            end = _path_end(text)
            nodes.append(_path(text[:end], template))
            text = text[end:]
        text = text.lstrip()
    return nodes


def _path_end(text: str) -> int:
    depth = 0
    for index, character in enumerate(text):
        if character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
        elif not depth and (character.isspace() or character in "'\""):
            return index
    return len(text)


def _quoted(text: str, template: str) -> tuple[str, str]:
    quote, at, found = text[0], 1, []
    while at < len(text) and text[at] != quote:
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            found.append(_ESCAPES.get(text[at], text[at]))
        else:
            found.append(text[at])
        at += 1
    if at >= len(text):
        raise Invalid(f"jsonpath: {template}: unterminated quoted string")
    return "".join(found), text[at + 1 :]


def _path(text: str, template: str) -> Path:
    steps: list[Step] = []
    rest = text
    from_root = rest.startswith("$")
    if rest[:1] in ("$", "@"):
        rest = rest[1:]
    while rest:
        if rest.startswith(".."):
            steps.append(Step("deep"))
            rest = rest[1:] if rest[2:3] == "[" else "." + rest[2:]
            rest = rest[1:] if rest.startswith(".[") else rest
        elif rest.startswith(".*"):
            steps.append(Step("all"))
            rest = rest[2:]
        elif rest.startswith("["):
            inner, rest = _brackets(rest, template)
            steps.append(_bracket(inner, template))
        elif rest == ".":
            rest = ""
        else:
            found = _FIELD.match(rest, 1 if rest.startswith(".") else 0)
            if found is None:
                raise Invalid(f"jsonpath: {template}: unrecognized character in {rest!r}")
            steps.append(Step("field", re.sub(r"\\(.)", r"\1", found.group())))
            rest = rest[found.end() :]
    return Path(tuple(steps), from_root)


def _brackets(text: str, template: str) -> tuple[str, str]:
    depth, quote = 0, ""
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
            if not depth:
                return text[1:index].strip(), text[index + 1 :]
    raise Invalid(f"jsonpath: {template}: unterminated array: a ] is missing")


def _bracket(inner: str, template: str) -> Step:
    if inner == "*":
        return Step("all")
    filtered = _FILTER.match(inner)
    if filtered:
        compared = _COMPARE.match(filtered[1].strip())
        if compared is None:
            return Step("filter", (_operand(filtered[1].strip(), template), None, None))
        left, sign, right = compared.groups()
        return Step("filter", (_operand(left, template), OPERATORS[sign],
                               _operand(right.strip(), template)))  # fmt: skip
    sliced = _SLICE.match(inner)
    if sliced:
        numbers = [int(each) if each else None for each in sliced.groups()]
        if numbers[2] is not None and numbers[2] <= 0:
            raise Invalid(f"jsonpath: {template}: step must be > 0")
        return Step("slice", slice(*numbers))
    parts = [each.strip() for each in inner.split(",")]
    if all(re.fullmatch(r"-?\d+", each) for each in parts):
        return Step("index", [int(each) for each in parts])
    if all(len(each) > 1 and each[0] in "'\"" and each[-1] == each[0] for each in parts):
        return Step("names", [each[1:-1] for each in parts])
    raise Invalid(f"jsonpath: {template}: invalid array index [{inner}]")


def _operand(text: str, template: str) -> Any:
    if text[:1] in ("@", "$", "."):
        return _path(text, template)
    if text[:1] in ("'", '"'):
        return _quoted(text, template)[0]
    try:
        return json.loads(text)
    except ValueError:
        raise Invalid(f"jsonpath: {template}: {text!r}: a path, text or number is expected") from (
            None
        )


def _printed(nodes: tuple[Any, ...], current: Any, root: Any) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Text):
            yield node.text
        elif isinstance(node, Range):
            for value in _values(node.path, current, root):
                yield from _printed(node.body, value, root)
        else:
            yield " ".join(shown(value) for value in _values(node, current, root))


def shown(value: Any) -> str:
    """A value as text: what is no scalar, as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _values(path: Path, current: Any, root: Any) -> list[Any]:
    values = [root if path.from_root else current]
    for step in path.steps:
        values = [below for value in values for below in _below(step, value, root)]
    return values


def _below(step: Step, value: Any, root: Any) -> Iterator[Any]:
    match step.kind:
        case "field":
            if isinstance(value, dict) and step.value in value:
                yield value[step.value]
        case "names":
            if isinstance(value, dict):
                yield from (value[name] for name in step.value if name in value)
        case "all":
            yield from _children(value)
        case "deep":
            yield value
            for child in _children(value):
                yield from _below(step, child, root)
        case "index" if isinstance(value, list):
            for index in step.value:
                if not -len(value) <= index < len(value):
                    raise Invalid(f"jsonpath: array index out of bounds: index {index}, length "
                                  f"{len(value)}")  # fmt: skip
                yield value[index]
        case "slice" if isinstance(value, list):
            yield from value[step.value]
        case "filter":
            yield from (each for each in _children(value) if _passes(step.value, each, root))


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def _passes(test: tuple[Any, Any, Any], each: Any, root: Any) -> bool:
    left, compare, right = test
    found = _values(left, each, root) if isinstance(left, Path) else [left]
    if compare is None:
        return bool(found)
    wanted = _values(right, each, root) if isinstance(right, Path) else [right]
    if len(found) != 1 or len(wanted) != 1:
        return False
    try:
        return bool(compare(found[0], wanted[0]))
    except TypeError:
        return False
