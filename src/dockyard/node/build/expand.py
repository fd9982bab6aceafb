"""Turns a word with variables, quotes and escapes into its value (reference, "Environment
replacement"): ``$NAME``, ``${NAME}``, ``${NAME:-default}``, ``${NAME:+other}``, ``${NAME:?error}``,
and without the colon, where only unset counts as missing; ``${NAME#pattern}``, ``##``, ``%``,
``%%``, ``${NAME/pattern/other}`` and ``//``.
"""

import re
from collections.abc import Mapping

from dockyard.node.build import shellpattern
from dockyard.node.build.source import Line

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")
"""Special parameters of a shell are names as well; nothing sets them."""
_DEPTH = 16
_LONGEST = 1 << 20


def expand(word: str, variables: Mapping[str, str], line: Line) -> str:
    """The value; an unknown variable is empty. Errors show ``line``."""
    value, rest = _scan(word, variables, line, stop="", depth=0)
    assert not rest
    if len(value) > _LONGEST:
        raise line.invalid(f"a word of more than {_LONGEST} characters, once its variables are in")
    return value


def expand_text(text: str, variables: Mapping[str, str], line: Line) -> str:
    """As :func:`expand`, of a here-document: quotes are characters like others, and a backslash
    escapes whatever follows it."""
    value, _ = _scan(text, variables, line, stop="", depth=0, raw=True)
    return value


def _scan(
    text: str,
    variables: Mapping[str, str],
    line: Line,
    *,
    stop: str,
    depth: int,
    raw: bool = False,
    pattern: bool = False,
) -> tuple[str, str]:
    """The value of ``text`` up to ``stop``, and what follows that. ``pattern``: escapes stay."""
    if depth > _DEPTH:
        raise line.invalid(f"variables are nested deeper than {_DEPTH} levels")
    out: list[str] = []
    quote = ""
    escape = "\\" if raw else line.escape
    at = 0
    while at < len(text):
        char = text[at]
        if stop and char == stop and not quote:
            return "".join(out), text[at + 1 :]
        if raw and char in "\"'":
            out.append(char)
            at += 1
        elif char == "'" and quote != '"':
            end = text.find("'", at + 1)
            if end < 0:
                raise line.invalid("a ' is not closed")
            out.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            quote = "" if quote else '"'
            at += 1
        elif char == escape:
            following = text[at + 1 : at + 2]
            # inside double quotes an escape only escapes what would mean something there
            keep = pattern or (quote and following not in ('"', "$", escape))
            out.append(char + following if keep else following)
            at += 2
        elif char == "$":
            value, text = _variable(text[at + 1 :], variables, line, depth, raw=raw)
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


def _variable(
    text: str, variables: Mapping[str, str], line: Line, depth: int, *, raw: bool
) -> tuple[str, str]:
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
    if modifier in ("#", "%", "/") and not colon and rest:
        return _cut(name, rest, variables, line, depth + 1, raw=raw)
    if not rest or modifier not in ("-", "+", "?"):
        raise line.invalid(f"${text[:20]}: }} is expected after the name, or :- :+ :? # % /")
    rest = rest[2:] if colon else rest[1:]
    word, rest = _scan(rest, variables, line, stop="}", depth=depth + 1, raw=raw)
    given = name in variables and (not colon or bool(variables[name]))
    if modifier == "+":
        return (word if given else ""), rest
    if not given and modifier == "?":
        missing = "empty" if name in variables else "unset"
        raise line.invalid(f"{name}: {word or f'is not allowed to be {missing}'}")
    return (variables[name] if given else word), rest


def _cut(
    name: str, rest: str, variables: Mapping[str, str], line: Line, depth: int, *, raw: bool
) -> tuple[str, str]:
    """``#``, ``%`` and ``/``, once or twice, and what follows them."""

    def until(stop: str, text: str, *, pattern: bool = False) -> tuple[str, str]:
        return _scan(text, variables, line, stop=stop, depth=depth, raw=raw, pattern=pattern)

    modifier, twice = rest[0], rest[1:2] == rest[0]
    rest = rest[2:] if twice else rest[1:]
    value = variables.get(name, "")
    if modifier == "/":
        pattern, rest = until("/", rest, pattern=True)
        other, rest = until("}", rest)
        return shellpattern.replace(value, pattern, other, every=twice), rest
    pattern, rest = until("}", rest, pattern=True)
    cut = shellpattern.cut_start if modifier == "#" else shellpattern.cut_end
    return cut(value, pattern, longest=twice), rest
