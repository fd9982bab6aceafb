"""Turns the environment into an engine, and words of a command line into values."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from dockyard.base.errors import Invalid
from dockyard.base.oci.instance import data_root

if TYPE_CHECKING:
    from dockyard.node.engine.engine import Engine

USAGE_ERROR = 125


class Parser(argparse.ArgumentParser):
    """argparse with Docker's manners: exit code 125, and where to look for help."""

    def __init__(self, verb: str, usage: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=f"dockyard {verb}",
            usage=f"dockyard {verb} {usage}",
            description=description,
            epilog=f"Examples:\n{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("--help", action="help", help="show this help")

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}\nSee '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


def engine() -> Engine:
    """The engine of the data root that the flag or the environment names."""
    from dockyard.boot.engine import build_engine

    return build_engine(os.fspath(data_root()))


def size(text: str) -> int:
    """``64m`` in bytes: b, k, m, g, in steps of 1024."""
    units = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
    cut = text.lower().removesuffix("b") if len(text) > 1 else text
    number, unit = (cut[:-1], cut[-1]) if cut[-1:] in units else (cut, "b")
    try:
        return int(float(number) * units[unit])
    except ValueError:
        raise Invalid(f"invalid size: '{text}'") from None


def age(seconds: float) -> str:
    """``5 minutes``: a duration as Docker rounds it."""
    seconds = int(seconds)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = round(seconds / 3600)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    return f"{days // 30} months" if days < 730 else f"{days // 365} years"


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell and three spaces, as Docker prints them."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = []
    for row in [headings, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines)
