"""Turns a template's text into a tree of nodes. Pure.

The grammar is Go's text/template without define, block and template: fields, variables, pipelines,
parentheses, if, range, with, and trimming by ``{{-`` and ``-}}``.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid

ACTION = re.compile(r"(\s*)\{\{(-\s)?(.*?)(\s-)?\}\}(\s*)", re.DOTALL)
TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<variable>\$[A-Za-z0-9_]*)
      | (?P<field>\.[A-Za-z0-9_]*)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>:=|[=|(),])
    )""",
    re.VERBOSE,
)
DEEPEST = 50


class Operand(NamedTuple):
    """A value: ``kind`` is dot, variable, literal, function or pipeline; then fields of it."""

    kind: str
    value: Any
    fields: tuple[str, ...] = ()


Command = tuple[Operand, ...]
Pipeline = tuple[Command, ...]


class Text(NamedTuple):
    """What is printed as it stands."""

    text: str


class Print(NamedTuple):
    """``{{pipeline}}``."""

    pipeline: Pipeline


class Assign(NamedTuple):
    """``{{$name := pipeline}}``."""

    name: str
    pipeline: Pipeline


class Branch(NamedTuple):
    """``if``, ``with`` or ``range``, with its two bodies."""

    kind: str
    names: tuple[str, ...]
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Node = Text | Print | Assign | Branch


def parse(template: str) -> tuple[Node, ...]:
    """The nodes. Raises :class:`Invalid` where the text is no template."""
    parser = _Parser(_pieces(template))
    nodes, stopped = parser.body(0)
    if stopped:
        raise Invalid(f"template: unexpected {{{{{stopped}}}}}")
    return nodes


def _pieces(template: str) -> list[tuple[bool, str]]:
    """(is an action, its text), white space trimmed where a dash says so."""
    found: list[tuple[bool, str]] = []
    position = 0
    for match in ACTION.finditer(template):
        before, trim_before, action, trim_after, after = match.groups()
        found.append((False, template[position : match.start()] + ("" if trim_before else before)))
        found.append((True, action.strip()))
        position = match.end() if trim_after else match.end() - len(after)
    rest = template[position:]
    if "{{" in rest:
        raise Invalid("template: unclosed action")
    return [*found, (False, rest)]


class _Parser:
    def __init__(self, pieces: list[tuple[bool, str]]) -> None:
        self._pieces = pieces
        self._at = 0

    def body(self, depth: int) -> tuple[tuple[Node, ...], str]:
        """Nodes up to ``else`` or ``end``, and which it was; empty at the end of the text."""
        if depth > DEEPEST:
            raise Invalid(f"template: more than {DEEPEST} actions inside each other")
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            is_action, text = self._pieces[self._at]
            self._at += 1
            if not is_action:
                nodes.append(Text(text))
                continue
            word, _, rest = text.partition(" ")
            if word in ("else", "end"):
                return tuple(nodes), text
            if word in ("if", "with", "range"):
                nodes.append(self._branch(word, rest, depth))
            elif not text.startswith("/*"):
                nodes.append(_statement(text))
        return tuple(nodes), ""

    def _branch(self, kind: str, text: str, depth: int) -> Branch:
        names, pipeline = _declared(text)
        body, stopped = self.body(depth + 1)
        otherwise: tuple[Node, ...] = ()
        word, _, rest = stopped.partition(" ")
        if word == "else" and rest.strip():  # else if ...: the inner one takes our end
            inner, _, condition = rest.strip().partition(" ")
            return Branch(kind, names, pipeline, body, (self._branch(inner, condition, depth + 1),))
        if word == "else":
            otherwise, stopped = self.body(depth + 1)
        if stopped != "end":
            raise Invalid(f"template: {{{{{kind} {text}}}}} has no {{{{end}}}}")
        return Branch(kind, names, pipeline, body, otherwise)


def _statement(text: str) -> Node:
    names, pipeline = _declared(text)
    return Assign(names[0], pipeline) if names else Print(pipeline)


def _declared(text: str) -> tuple[tuple[str, ...], Pipeline]:
    """The variables that an action declares, and its pipeline."""
    tokens = _tokens(text)
    signs = [
        index for index, token in enumerate(tokens) if token in (("sign", ":="), ("sign", "="))
    ]
    names: tuple[str, ...] = ()
    if signs:
        declared, tokens = tokens[: signs[0]], tokens[signs[0] + 1 :]
        names = tuple(value for kind, value in declared if kind == "variable")
    pipeline, rest = _pipeline(tokens)
    if rest or not pipeline[0]:
        raise Invalid(f"template: {{{{{text}}}}}: cannot be read")
    return names, pipeline


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise Invalid(f"template: {{{{{text}}}}}: unexpected {text[position:].strip()[:20]!r}")
        # ".A .B" are two operands and ".A.B" is one: white space before a field tells
        glued = match.lastgroup == "field" and match.start("field") == position and position > 0
        found.append(("glued" if glued else match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def _pipeline(tokens: list[tuple[str, str]]) -> tuple[Pipeline, list[tuple[str, str]]]:
    """Commands up to a closing parenthesis or the end."""
    commands: list[Command] = []
    operands: list[Operand] = []
    while tokens and tokens[0] != ("sign", ")"):
        if tokens[0] == ("sign", "|"):
            commands.append(tuple(operands))
            operands, tokens = [], tokens[1:]
            continue
        operand, tokens = _operand(tokens)
        while tokens and tokens[0][0] == "glued":
            operand = operand._replace(fields=(*operand.fields, tokens[0][1][1:]))
            tokens = tokens[1:]
        operands.append(operand)
    return (*commands, tuple(operands)), tokens


def _operand(tokens: list[tuple[str, str]]) -> tuple[Operand, list[tuple[str, str]]]:
    (kind, text), rest = tokens[0], tokens[1:]
    if kind in ("field", "glued"):
        return Operand("dot", None, (text[1:],) if text != "." else ()), rest
    if kind == "variable":
        return Operand("variable", text), rest
    if kind == "string":
        return Operand("literal", text[1:-1] if text[0] == "`" else _unquote(text)), rest
    if kind == "number":
        return Operand("literal", float(text) if "." in text else int(text)), rest
    if kind == "word":
        if text in ("true", "false", "nil"):
            return Operand("literal", {"true": True, "false": False, "nil": None}[text]), rest
        return Operand("function", text), rest
    if text == "(":
        inner, rest = _pipeline(rest)
        if not rest:
            raise Invalid("template: a parenthesis is not closed")
        return Operand("pipeline", inner), rest[1:]
    raise Invalid(f"template: unexpected {text!r}")


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))  # Go's escapes that are used here are JSON's
    except ValueError as error:
        raise Invalid(f"template: {text}: not a string") from error
