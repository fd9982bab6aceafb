"""Turns ``-e``, ``--env-file``, ``-l`` and ``--label-file`` words into variables and labels."""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid
from dockyard.cli.common import WrongArgument


def variables(words: list[str], files: list[str]) -> tuple[str, ...]:
    """``NAME=VALUE``; what is said last wins. ``NAME`` alone takes this process's value."""
    found: dict[str, str] = {}
    for text in (*(line for path in files for line in _lines(path)), *words):
        name, equals, _ = text.partition("=")
        if not name:
            raise WrongArgument(f'invalid argument "{text}" for "-e, --env" flag: invalid '
                                f"environment variable: {text}")  # fmt: skip
        if not equals and name in os.environ:
            text = f"{name}={os.environ[name]}"
        found[name] = text
    return tuple(found.values())


def pairs(
    words: list[str], files: list[str] | None = None, flag: str = "-l, --label"
) -> tuple[tuple[str, str], ...]:
    """``KEY=VALUE``; a key alone has an empty value. ``flag``: as errors name it."""
    found: dict[str, str] = {}
    for text in (*(line for path in files or () for line in _lines(path)), *words):
        name, _, value = text.partition("=")
        if not name:
            raise WrongArgument(f'invalid argument "{text}" for "{flag}" flag: invalid label '
                          f"'{text}': empty name")  # fmt: skip
        found[name] = value
    return tuple(found.items())


def _lines(path: str) -> list[str]:
    """Lines that are not empty and no comment; a name may not have white space in it."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip("\r\n").lstrip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        reason = str(error.strerror).lower() if isinstance(error, OSError) else "is not UTF-8"
        raise Invalid(f"open {path}: {reason}") from error
    kept = [line for line in lines if line.strip() and not line.startswith("#")]
    for line in kept:
        if len(line.partition("=")[0].split()) > 1:
            raise Invalid(f"poorly formatted environment: {path}: variable "
                          f"'{line.partition('=')[0]}' contains whitespaces")  # fmt: skip
    return kept
