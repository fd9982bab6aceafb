"""Turns what argparse says of a command line into Docker's words and exit codes.

A wrong number of words is exit code 1, a flag that is not understood 125, as with docker 28.
"""

from __future__ import annotations

import argparse
import re

WRONG_COUNT, WRONG_FLAG = 1, 125
NUMBER = re.compile(r"invalid int value: '(.*)'")


def answer(
    parser: argparse.ArgumentParser, message: str, least: int | None = None
) -> tuple[int, str]:
    """The exit code and what is printed. ``least``: words that there have to be, if known."""
    kind, _, rest = message.partition(": ")
    if kind == "the following arguments are required":
        return WRONG_COUNT, f"dockyard: '{parser.prog}' {arity(parser, least)}"
    if kind == "unrecognized arguments":
        first = rest.split()[0]
        if not first.startswith("-") or first == "-":
            return WRONG_COUNT, f"dockyard: '{parser.prog}' {arity(parser, least)}"
        name = first.partition("=")[0]
        unknown = f"unknown flag: {name}" if name.startswith("--") else (
            f"unknown shorthand flag: '{name[1:2]}' in {name}"
        )  # fmt: skip
        return WRONG_FLAG, f"{parser.prog}: {unknown}"
    if rest == "expected one argument":
        names = kind.removeprefix("argument ").split("/")
        return WRONG_FLAG, f"{parser.prog}: flag needs an argument: {names[-1]}"
    if value := NUMBER.fullmatch(rest):
        names = kind.removeprefix("argument ").split("/")
        flag = names[-1] if len(names) == 1 else f"{names[0]}, {names[-1]}"
        return WRONG_FLAG, (f'{parser.prog}: invalid argument "{value[1]}" for "{flag}" flag: '
                            f'strconv.ParseInt: parsing "{value[1]}": invalid syntax')  # fmt: skip
    return WRONG_FLAG, f"{parser.prog}: {message}"


def arity(parser: argparse.ArgumentParser, least: int | None = None) -> str:
    """``requires at least 1 argument``: how many words the parser takes."""
    low, high = least or 0, 0
    for action in parser._actions:
        if not action.option_strings:
            low += action.nargs in (None, "+") if least is None else 0
            endless = action.nargs in ("+", "*", argparse.REMAINDER)
            high = -1 if endless or high < 0 else high + 1
    if low == high:
        return f"requires {_count(low)}" if low else "accepts no arguments"
    if high < 0:
        return f"requires at least {_count(low)}"
    return f"requires at least {low} and at most {_count(high)}" if low else (
        f"accepts at most {_count(high)}"
    )  # fmt: skip


def _count(number: int) -> str:
    return f"{number} argument{'' if number == 1 else 's'}"
