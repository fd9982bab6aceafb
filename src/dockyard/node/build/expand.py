"""Turns a word with variables, quotes and escapes into its value (reference, "Environment
replacement"): ``$NAME``, ``${NAME}``, ``${NAME:-default}``, ``${NAME:+other}``, and without the
colon, where only unset counts as missing.
"""

import re
from collections.abc import Mapping

from dockyard.node.build.source import Line

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]")
_DEPTH = 16


def expand(word: str, variables: Mapping[str, str], line: Line) -> str:
    """The value; an unknown variable is empty. Errors show ``line``."""
    value, rest = _scan(word, variables, line, stop="", depth=0)
    assert not rest
    return value


def _scan(
    text: str, variables: Mapping[str, str], line: Line, *, stop: str, depth: int
) -> tuple[str, str]:
    """The value of ``text`` up to ``stop``, and what follows that."""
    if depth > _DEPTH:
        raise line.invalid(f"variables are nested deeper than {_DEPTH} levels")
    out: list[str] = []
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if stop and char == stop and not quote:
            return "".join(out), text[at + 1 :]
        if char == "'" and quote != '"':
            end = text.find("'", at + 1)
            if end < 0:
                raise line.invalid("a ' is not closed")
            out.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            quote = "" if quote else '"'
            at += 1
        elif char == line.escape:
            following = text[at + 1 : at + 2]
            # inside double quotes an escape only escapes what would mean something there
            keep = quote and following not in ('"', "$", line.escape)
            out.append(char + following if keep else following or char)
            at += 2
        elif char == "$":
            value, text = _variable(text[at + 1 :], variables, line, depth)
            out.append(value)
            at = 0
        else:
            out.append(char)
            at += 1
    if stop:
        raise line.invalid("a ${ is not closed")
    if quote:
        raise line.invalid('a " is not closed')
    return "".join(out), ""


def _variable(text: str, variables: Mapping[str, str], line: Line, depth: int) -> tuple[str, str]:
    """The value of the variable that ``text`` begins with, and what follows it."""
    if not text.startswith("{"):
        match = _NAME.match(text)
        return (variables.get(match[0], ""), text[match.end() :]) if match else ("$", text)
    match = _NAME.match(text, 1)
    if match is None:
        raise line.invalid(f"${text[:20]}: a variable's name is expected")
    name, rest = match[0], text[match.end() :]
    if rest.startswith("}"):
        return variables.get(name, ""), rest[1:]
    colon = rest.startswith(":")
    modifier = rest[1:2] if colon else rest[:1]
    if not rest or modifier not in ("-", "+", "?", "#", "%", "/"):
        raise line.invalid(f"${text[:20]}: }} is expected after the name, or :- :+ :?")
    if modifier in ("#", "%", "/"):
        raise line.unsupported(f"${{{name}{rest[:2]}...}}")
    word, rest = _scan(rest[2:] if colon else rest[1:], variables, line, stop="}", depth=depth + 1)
    given = bool(variables.get(name)) if colon else name in variables
    if modifier == "+":
        return (word if given else ""), rest
    if not given and modifier == "?":
        raise line.invalid(f"{name}: {word or 'is not set'}")
    return (variables[name] if given else word), rest
