"""Turns words of a command line into flags and arguments, as Go's ``flag`` package reads them.

runc's callers depend on its manners: one dash or two, ``-name value`` or ``-name=value``, no
letters run together, ``--`` ends the flags.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Values = dict[str, "Any"]
TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Usage(Invalid):
    """The words are not what the verb takes."""


class Flag(NamedTuple):
    """One flag; its first name is what its value goes by."""

    names: tuple[str, ...]
    help: str
    kind: str = "text"
    """``text``, ``switch``, ``number``, ``duration``, or ``texts`` and ``numbers``: given again
    and again."""
    default: Any = ""
    shown: str = ""
    """The default as the help writes it."""


HELP = Flag(("help", "h"), "show help", "switch", False)


def parse(words: list[str], flags: tuple[Flag, ...], *, ordered: bool) -> tuple[Values, list[str]]:
    """Values by first name, and the arguments. ``ordered``: flags end where the arguments begin."""
    known = {name: flag for flag in (*flags, HELP) for name in flag.names}
    values: Values = {
        flag.names[0]: [] if flag.kind in ("texts", "numbers") else flag.default
        for flag in (*flags, HELP)
    }
    arguments: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            arguments += rest
        elif len(word) < 2 or word[0] != "-":
            arguments.append(word)
            if ordered:
                arguments += rest
        else:
            name, equals, value = word[2 if word.startswith("--") else 1 :].partition("=")
            if name not in known:
                raise Usage(f"flag provided but not defined: -{name}")
            flag = known[name]
            if flag.kind == "switch":
                value = value if equals else "true"
            elif not equals:
                found = next(rest, None)
                if found is None:
                    raise Usage(f"flag needs an argument: -{name}")
                value = found
            _set(values, flag, name, value)
    return values, arguments


def _set(values: Values, flag: Flag, name: str, text: str) -> None:
    target = flag.names[0]
    if flag.kind in ("texts", "numbers"):
        values[target].append(_number(name, text) if flag.kind == "numbers" else text)
    elif flag.kind == "number":
        values[target] = _number(name, text)
    elif flag.kind == "duration":
        values[target] = _duration(name, text)
    elif flag.kind == "switch":
        if text not in TRUE + FALSE:
            raise Usage(f'invalid boolean value "{text}" for -{name}: parse error')
        values[target] = text in TRUE
    else:
        values[target] = text


def _number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise Usage(f'invalid value "{text}" for flag -{name}: parse error') from None


def _duration(name: str, text: str) -> float:
    """Seconds of ``1m30s``, ``100ms``, ``1.5h``; of ``0``, which needs no unit."""
    if text == "0":
        return 0.0
    seconds, rest = 0.0, text
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(digits) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        rest = rest[len(unit) :]
        if unit not in UNITS or not digits.replace(".", "", 1).isdecimal():
            break
        seconds += float(digits) * UNITS[unit]
    else:
        if text:
            return seconds
    raise Usage(f'invalid value "{text}" for flag -{name}: parse error')
