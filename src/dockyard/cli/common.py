"""Turns the environment into an engine, and words of a command line into values."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from dockyard.base.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dockyard.node.engine.engine import Engine

    Verbs = dict[str, tuple[Callable[[list[str]], int], str]]
    """What each second word runs, and what the help says of it."""

USAGE_ERROR, UNKNOWN_COMMAND = 125, 1
"""Exit codes of docker 28's client."""
_UNITS = ("", "k", "m", "g", "t", "p")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NARROWEST = 7
"""Characters of a column, before three spaces."""

# Its few words are not translated: gettext would look for a catalogue at each of them.
setattr(argparse, "_", str)  # noqa: B010 - it has no such name for a type checker


def usual_platform() -> str:
    """What docker's client takes where no ``--platform`` is given; empty: this machine's."""
    return os.environ.get("DOCKER_DEFAULT_PLATFORM", "")


class WrongArgument(Invalid):
    """The value of a flag is none, as the client sees by itself."""

    exit_code = USAGE_ERROR


class Parser(argparse.ArgumentParser):
    """argparse with Docker's manners: exit codes, and where to look for help."""

    def __init__(self, verb: str, usage: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=f"dockyard {verb}",
            usage=f"dockyard {verb} {usage}",
            description=description,
            epilog=f"Examples:\n{examples}" if examples else None,
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.least: int | None = None
        """How many words there have to be, where the parser itself cannot know."""
        self.add_argument("--help", action="help", help="show this help")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        words = list(sys.argv[1:] if args is None else args)
        if any(word.startswith("-") and "=" in word for word in words):
            from dockyard.cli.switches import plain

            try:
                words = plain(self, words)
            except Invalid as error:
                self.error(str(error))
        return super().parse_args(words, namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """``--env=--`` gives the value ``--``, which argparse before 3.13 makes an empty list."""
        if not action.option_strings or arg_strings != ["--"]:
            return super()._get_values(action, arg_strings)
        value = self._get_value(action, "--")
        self._check_value(action, value)
        return value

    def error(self, message: str) -> NoReturn:
        from dockyard.cli.usageerrors import answer

        code, text = answer(self, message, self.least)
        print(f"{text}\nSee '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(code)

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
        self.add_argument(f"{name}=false", action="store_false", help=argparse.SUPPRESS,
                          dest=name.lstrip("-").replace("-", "_"))  # fmt: skip

    def refuse(self, names: Iterable[str], nargs: int | None = None) -> None:
        """Options that Docker has and this program does not, so that the answer says so."""
        for name in names:
            self.add_argument(name, action=_Refused, nargs=nargs, help=argparse.SUPPRESS)


@functools.cache
def _columns() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 80


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal. argparse makes one for each option, and asks ``shutil``,
    which loads every compressor, for the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=max(40, _columns() - 2))

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """``-e, --env NAME=VALUE``: the value is said once."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class _Refused(argparse.Action):
    """An option that is not implemented."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise Unsupported(f"{parser.prog.removeprefix('dockyard ')}: {self.option_strings[0]}: "
                          "not implemented")  # fmt: skip


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
