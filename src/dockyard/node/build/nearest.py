"""Turns a mistaken word into the one that was meant, as BuildKit suggests one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FAR = 3
"""Letters: what is this far away was not meant."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The nearest of the known words; empty where none is near, or the word is one of them."""
    near = [(distance(word, other), number, other) for number, other in enumerate(known)]
    least, _, other = min(near, default=(_FAR, 0, ""))
    return other if 0 < least < _FAR else ""


def distance(one: str, other: str) -> int:
    """How many letters are to be put in, taken out or changed (Levenshtein); ``_FAR`` at most."""
    if abs(len(one) - len(other)) >= _FAR:
        return _FAR
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        above = row
        row = [number]
        for column, second in enumerate(other, 1):
            changed = above[column - 1] + (letter != second)
            row.append(min(changed, above[column] + 1, row[-1] + 1))
    return min(row[-1], _FAR)
