"""Turns ``--rm=true`` and ``-it=false`` into what argparse takes: the switch, or nothing. Pure.

Docker's switches take a value after an equals sign, as Go's flags do; argparse's take none.
"""

from __future__ import annotations

import argparse

from dockyard.base.errors import Invalid

YES, NO = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def plain(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """The same words. Those after the first that is no option stay where they are a command's.
    Raises :class:`Invalid` for a value that is neither true nor false."""
    options = parser._option_string_actions
    rest = any(action.nargs == argparse.REMAINDER for action in parser._actions)
    found: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--" or (rest and (not word.startswith("-") or word == "-")):
            return [*found, word, *words[index:]]
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            last = options.get(name)
        else:
            last = _last_of(options, word) if word.startswith("-") else None
        if last is not None and not equals and last.nargs != 0 and _takes_next(options, word):
            found += words[index - 1 : index + 1]
            index += 1
        elif not equals or last is None or last.nargs != 0 or word in options:
            found.append(word)
        elif _truth(name, value):
            found.append(name)
        elif f"{name}=false" in options:
            found.append(f"{name}=false")
        elif len(name) > 2 and not name.startswith("--"):
            found.append(name[:-1])
    return found


def _last_of(options: dict[str, argparse.Action], word: str) -> argparse.Action | None:
    """What the letters of ``-itd`` end with; where one takes a value, that one."""
    action = None
    for letter in word[1:].partition("=")[0]:
        action = options.get(f"-{letter}")
        if action is None or action.nargs != 0:
            break
    return action


def _takes_next(options: dict[str, argparse.Action], word: str) -> bool:
    """Whether the value of the option that a word ends with is the next word."""
    if word.startswith("--"):
        return True
    last = options.get(f"-{word[-1]}")
    before = [options.get(f"-{letter}") for letter in word[1:-1]]
    return last is not None and last.nargs != 0 and all(each and each.nargs == 0 for each in before)


def _truth(name: str, value: str) -> bool:
    if value in YES or value in NO:
        return value in YES
    shown = name if name.startswith("--") else f"-{name[-1]}"
    raise Invalid(f'invalid argument "{value}" for "{shown}" flag: strconv.ParseBool: parsing '
                  f'"{value}": invalid syntax')  # fmt: skip
