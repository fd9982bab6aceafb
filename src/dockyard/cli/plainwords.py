"""Turns the words of a command line into the values of its options, where each word is plain.

As argparse does, which is 6 ms of a command with all that it loads. Whatever is not plain (help, an
error, a value that begins with a dash, an option after the words) is left to it.
"""

from __future__ import annotations

from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    Options = Namespace
    from collections.abc import Iterable
    from typing import Any
else:

    class Options:
        """Values by the names of the options."""

        def __init__(self, **values):
            self.__dict__.update(values)


HIDDEN, REST = "==SUPPRESS==", "..."
"""argparse's, for a help that is not shown, and for all words from the first that is no option."""
FIXED = {"store_true": True, "store_false": False}
"""Actions without a value, and what they store."""


class Declared(NamedTuple):
    """An option, or a word, as ``add_argument`` takes it."""

    names: tuple[str, ...]
    how: dict[str, Any]

    @property
    def place(self) -> str:
        """Under which name its value is found."""
        long = [name for name in self.names if name.startswith("--")]
        named = str(self.how.get("dest") or (long or self.names)[0])
        return named.lstrip("-").replace("-", "_") if self.names[0][0] == "-" else named

    @property
    def default(self) -> object:
        """Without it on the command line."""
        fixed = FIXED.get(self.how.get("action", ""))
        return self.how.get("default", None if fixed is None else not fixed)


class NotPlain(Exception):
    """Argparse knows."""


def read(declared: Iterable[Declared], words: list[str]) -> Options | None:
    """The values; None where argparse has to look."""
    if "--" in words:
        return None
    options: dict[str, Declared] = {}
    positionals: list[Declared] = []
    values: dict[str, Any] = {}
    for each in declared:
        if each.names[0].startswith("-"):
            options.update(dict.fromkeys(each.names, each))
        else:
            positionals.append(each)
        if each.how.get("required"):
            return None
        if each.default != HIDDEN:
            values.setdefault(each.place, each.default)
    try:
        left = _take_options(options, words, values)
        _take_words(positionals, left, values)
    except NotPlain:
        return None
    return Options(**values)


def _take_options(
    options: dict[str, Declared], words: list[str], values: dict[str, Any]
) -> list[str]:
    """The words from the first that is no option."""
    waiting = iter(enumerate(words))
    for index, word in waiting:
        if not _dashed(word):
            return words[index:]
        name, equals, value = word.partition("=")
        if word in options:
            name, equals = word, ""
        for option in _named(options, name):
            if "value" not in _kind(option):
                if equals:
                    raise NotPlain
                _store(option, None, values)
            elif equals:
                _store(option, value, values)
            else:
                _, value = next(waiting, (0, "-x"))
                if _dashed(value):
                    raise NotPlain
                _store(option, value, values)
    return []


def _named(options: dict[str, Declared], name: str) -> list[Declared]:
    """One option, or the switches that stand together as ``-it``."""
    if name in options:
        return [options[name]]
    found = [options.get(f"-{letter}") for letter in name[1:]]
    switches = [each for each in found if each and _kind(each) == "switch"]
    if not name[1:] or len(switches) < len(found):
        raise NotPlain
    return switches


def _kind(option: Declared) -> str:
    how = option.how
    if how.get("nargs") is not None:
        raise NotPlain
    action = how.get("action", "store")
    if action in ("store", "append"):
        return "value"
    if action == "store_const" or action in FIXED:
        return "switch"
    raise NotPlain


def _store(option: Declared, text: str | None, values: dict[str, Any]) -> None:
    action, place = option.how.get("action", "store"), option.place
    if text is None:
        values[place] = FIXED.get(action, option.how.get("const"))
    elif action == "append":
        values[place] = [*(values[place] or ()), _value(option, text)]
    else:
        values[place] = _value(option, text)


def _value(option: Declared, text: str) -> object:
    choices, kind = option.how.get("choices"), option.how.get("type", str)
    if kind not in (str, int, float):
        raise NotPlain
    try:
        value = kind(text)
    except ValueError:
        raise NotPlain from None
    if choices is not None and value not in choices:
        raise NotPlain
    return value


def _take_words(positionals: list[Declared], words: list[str], values: dict[str, Any]) -> None:
    """Those that are no options: as many as are declared; the last may be any number."""
    left = list(words)
    for place, each in enumerate(positionals):
        count, last = each.how.get("nargs"), place == len(positionals) - 1
        if count == REST and last:
            values[each.place], left = left, []
        elif any(map(_dashed, left[:1] if count is None else left)):
            raise NotPlain
        elif count is None and left:
            values[each.place] = _value(each, left.pop(0))
        elif count == "?" and last:
            if left:
                values[each.place] = _value(each, left.pop(0))
        elif count in ("+", "*") and last and left:
            values[each.place], left = [_value(each, word) for word in left], []
        elif count == "*" and last:
            values[each.place] = [] if each.default is None else each.default
        else:
            raise NotPlain
    if left:
        raise NotPlain


def _dashed(word: str) -> bool:
    return word.startswith("-") and word != "-"
