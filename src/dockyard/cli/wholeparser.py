"""Turns what a verb's command line may say into argparse's parser: help, errors, and all words that
:mod:`.plainwords` leaves to it."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from dockyard.base.errors import Invalid, Unsupported
from dockyard.cli.switches import plain
from dockyard.cli.usageerrors import answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockyard.cli.common import Parser

# Its few words are not translated: gettext would look for a catalogue at each of them.
setattr(argparse, "_", str)  # noqa: B010 - it has no such name for a type checker


class WholeParser(argparse.ArgumentParser):
    """argparse with Docker's manners: exit codes, and where to look for help."""

    def __init__(self, wanted: Parser) -> None:
        super().__init__(
            prog=wanted.prog,
            usage=f"{wanted.prog} {wanted.usage}",
            description=wanted.description,
            epilog=f"Examples:\n{wanted.examples}" if wanted.examples else None,
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.register("action", "refused", _Refused)
        self._least = wanted.least
        self.add_argument("--help", action="help", help="show this help")
        for names, how in wanted.declared:
            self.add_argument(*names, **how)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        words = list(sys.argv[1:] if args is None else args)
        if any(word.startswith("-") and "=" in word for word in words):
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
        code, text = answer(self, message, self._least)
        print(f"{text}\nSee '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(code)


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
