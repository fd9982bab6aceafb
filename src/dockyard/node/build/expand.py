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
_LONGEST_TEXT = 16 << 20
_MOST_WORK = 1 << 24
"""Steps of a pattern: characters of the value times those of the pattern."""


def expand(word: str, variables: Mapping[str, str], line: Line) -> str:
    """The value; an unknown variable is empty. Errors show ``line``."""
    value, _ = _scan(word, 0, variables, line, stop="", depth=0)
    if len(value) > _LONGEST:
        raise line.invalid(f"a word of more than {_LONGEST} characters, once its variables are in")
    return value


def expand_text(text: str, variables: Mapping[str, str], line: Line) -> str:
    """As :func:`expand`, of a here-document: quotes are characters like others, and a backslash
    escapes whatever follows it."""
    value, _ = _scan(text, 0, variables, line, stop="", depth=0, raw=True)
    return value


def _scan(
    text: str,
    at: int,
    variables: Mapping[str, str],
    line: Line,
    *,
    stop: str,
    depth: int,
    raw: bool = False,
    pattern: bool = False,
) -> tuple[str, int]:
    """The value of ``text`` from ``at`` up to ``stop``, and where it goes on behind that.
    ``pattern``: escapes stay."""
    if depth > _DEPTH:
        raise line.invalid(f"variables are nested deeper than {_DEPTH} levels")
    out: list[str] = []
    quote = ""
    escape = "\\" if raw else line.escape
    size = 0
    while at < len(text):
        char = text[at]
        if stop and char == stop and not quote:
            return "".join(out), at + 1
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
            value, at = _variable(text, at + 1, variables, line, depth, raw=raw)
            out.append(value)
            size += len(value)
            if size > _LONGEST_TEXT:
                raise line.invalid(f"more than {_LONGEST_TEXT} characters come from variables")
        else:
            out.append(char)
            at += 1
    if stop:
        raise line.invalid("a ${ is not closed")
    if quote:
        raise line.invalid('a " is not closed')
    return "".join(out), at


def _variable(
    text: str, at: int, variables: Mapping[str, str], line: Line, depth: int, *, raw: bool
) -> tuple[str, int]:
    """The value of the variable that ``text`` has at ``at``, and where it goes on behind it."""
    if not text.startswith("{", at):
        match = _NAME.match(text, at)
        return (variables.get(match[0], ""), match.end()) if match else ("$", at)
    match = _NAME.match(text, at + 1)
    if match is None:
        raise line.invalid(f"${text[at : at + 20]}: a variable's name is expected")
    name, after = match[0], match.end()
    if text.startswith("}", after):
        return variables.get(name, ""), after + 1
    colon = text.startswith(":", after)
    after += colon
    modifier = text[after : after + 1]
    if modifier in ("#", "%", "/") and not colon:
        return _cut(name, text, after, variables, line, depth + 1, raw=raw)
    if modifier not in ("-", "+", "?"):
        raise line.invalid(
            f"${text[at : at + 20]}: }} is expected after the name, or :- :+ :? # % /"
        )
    word, after = _scan(text, after + 1, variables, line, stop="}", depth=depth + 1, raw=raw)
    given = name in variables and (not colon or bool(variables[name]))
    if modifier == "+":
        return (word if given else ""), after
    if not given and modifier == "?":
        missing = "empty" if name in variables else "unset"
        raise line.invalid(f"{name}: {word or f'is not allowed to be {missing}'}")
    return (variables[name] if given else word), after


def _cut(
    name: str, text: str, at: int, variables: Mapping[str, str], line: Line, depth: int, *,
    raw: bool,
) -> tuple[str, int]:  # fmt: skip
    """``#``, ``%`` and ``/``, once or twice, and where it goes on behind them."""

    def until(stop: str, at: int, *, pattern: bool = False) -> tuple[str, int]:
        return _scan(text, at, variables, line, stop=stop, depth=depth, raw=raw, pattern=pattern)

    modifier, twice = text[at], text[at + 1 : at + 2] == text[at]
    pattern, after = until("/" if modifier == "/" else "}", at + 1 + twice, pattern=True)
    other, after = until("}", after) if modifier == "/" else ("", after)
    value = variables.get(name, "")
    if len(value) * len(pattern) > _MOST_WORK:
        raise line.invalid(f"{name}: {len(value)} characters are too many for a pattern of "
                           f"{len(pattern)}")  # fmt: skip
    if modifier == "/":
        return shellpattern.replace(value, pattern, other, every=twice), after
    cut = shellpattern.cut_start if modifier == "#" else shellpattern.cut_end
    return cut(value, pattern, longest=twice), after
