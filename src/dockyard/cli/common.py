"""Turns the environment into an engine, and words of a command line into values."""

from __future__ import annotations

import os
import sys

from dockyard.base.errors import Invalid
from dockyard.cli import plainwords
from dockyard.cli.plainwords import HIDDEN, Declared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, NoReturn

    from dockyard.cli.plainwords import Options
    from dockyard.cli.wholeparser import WholeParser
    from dockyard.node.engine.engine import Engine

    Verbs = dict[str, tuple[Callable[[list[str]], int], str]]
    """What each second word runs, and what the help says of it."""

USAGE_ERROR, UNKNOWN_COMMAND = 125, 1
"""Exit codes of docker 28's client."""
_UNITS = ("", "k", "m", "g", "t", "p")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NARROWEST = 7
"""Characters of a column, before three spaces."""


def usual_platform() -> str:
    """What docker's client takes where no ``--platform`` is given; empty: this machine's."""
    return os.environ.get("DOCKER_DEFAULT_PLATFORM", "")


class WrongArgument(Invalid):
    """The value of a flag is none, as the client sees by itself."""

    exit_code = USAGE_ERROR


class Parser:
    """What a verb's command line may say. Plain words are read as they are; help, errors and all
    else are argparse's, which is loaded then: :mod:`.wholeparser`."""

    def __init__(self, verb: str, usage: str, description: str, examples: str = "") -> None:
        self.prog = f"dockyard {verb}"
        self.usage, self.description, self.examples = usage, description, examples
        self.declared: list[Declared] = []
        self.least: int | None = None
        """How many words there have to be, where the parser itself cannot know."""

    def add_argument(self, *names: str, **how: Any) -> None:
        """As argparse's."""
        self.declared.append(Declared(names, how))

    def parse_args(self, args: Sequence[str] | None = None) -> Options:
        """The values of all that was added. An error is printed, and ends the process."""
        words = list(sys.argv[1:] if args is None else args)
        found = plainwords.read(self.declared, words)
        return self._whole().parse_args(words) if found is None else found

    def parse_intermixed_args(self, args: Sequence[str]) -> Options:
        """The same, of options and words in any order."""
        return self._whole().parse_intermixed_args(args)

    def _whole(self) -> WholeParser:
        from dockyard.cli.wholeparser import WholeParser

        return WholeParser(self)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and where to look for help."""
        self._whole().error(message)

    def too_few(self) -> NoReturn:
        """Fewer words than ``least``."""
        self.error("the following arguments are required: more")

    def many(self, *names: str, metavar: str, help: str) -> None:
        """An option that may be given several times."""
        self.add_argument(*names, action="append", default=[], metavar=metavar, help=help)

    def flag(self, *names: str, help: str) -> None:
        """An option without a value."""
        self.add_argument(*names, action="store_true", help=help)

    def check_filters(self, words: Iterable[str]) -> None:
        """Each has to be ``NAME=VALUE``."""
        for word in words:
            if "=" not in word:
                self.error(f'invalid argument "{word}" for "-f, --filter" flag: bad format of '
                           "filter (expected name=value)")  # fmt: skip

    def flag_on(self, name: str, help: str) -> None:
        """An option without a value that is on unless ``=false`` is said: :mod:`..switches`."""
        self.add_argument(name, action="store_true", default=True, help=help)
        self.add_argument(f"{name}=false", action="store_false", help=HIDDEN,
                          dest=name.lstrip("-").replace("-", "_"))  # fmt: skip

    def refuse(self, names: Iterable[str], nargs: int | None = None) -> None:
        """Options that Docker has and this program does not, so that the answer says so."""
        for name in names:
            self.add_argument(name, action="refused", nargs=nargs, help=HIDDEN)


def second_word(noun: str, verbs: Verbs, argv: list[str]) -> int:
    """Run what the word after a noun names."""
    if not argv or argv[0] in ("-h", "--help"):
        width = max(10, *map(len, verbs))
        lines = "\n".join(f"  {name:<{width}} {text}" for name, (_, text) in verbs.items())
        print(f"usage: dockyard {noun} COMMAND ...\n\nCommands:\n{lines}\n\n"
              f"`dockyard {noun} COMMAND --help` says more about a command.")  # fmt: skip
        return 0
    if argv[0] not in verbs:
        print(f"dockyard: {noun}: '{argv[0]}' is not a command.{suggestion(argv[0], verbs)}",
              file=sys.stderr)  # fmt: skip
        return UNKNOWN_COMMAND
    return verbs[argv[0]][0](argv[1:])


def suggestion(word: str, known: Iterable[str]) -> str:
    """What somebody may have meant; empty where nothing is near."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else f" One of: {', '.join(known)}."


def engine() -> Engine:
    """The engine of the data root that the flag or the environment names."""
    from dockyard.base.oci.instance import root_path
    from dockyard.boot.engine import build_engine

    return build_engine(root_path())


def size(text: str, flag: str = "") -> int:
    """``64m`` in bytes: b, k, m, g, t, p, in steps of 1024: ``64MB`` and ``64MiB`` are the same.
    ``flag``: whose value it is, as errors name it."""
    number = text.rstrip(_LETTERS)
    suffix = text[len(number) :].lower()
    unit = suffix.removesuffix("b").removesuffix("i")
    known = unit in _UNITS and suffix != "ib"
    reason = f"invalid size: '{text}'"
    try:
        plain = number.strip() and number.isascii() and "_" not in number
        found = float(number) if plain else -1.0
    except ValueError:
        found, reason = -1.0, f'strconv.ParseFloat: parsing "{number}": invalid syntax'
    if found >= 0 and not known:
        reason = f"invalid suffix: '{suffix}'"
    factor = 1024 ** _UNITS.index(unit) if known else 0
    if not factor or not 0 <= found * factor < 2**63:
        if not flag:
            raise Invalid(reason)
        raise WrongArgument(f'invalid argument "{text}" for "{flag}" flag: {reason}')
    return int(found * factor)


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


def printable(text: str) -> str:
    """Nothing that a container or its command line brings may steer the terminal."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell and three spaces, and ten at least, as Docker's."""
    widths = [max(NARROWEST, *map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = []
    for row in [headings, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines)
