"""Turns ``<<NAME`` words and the lines after an instruction into here-documents (reference, "Here-
Documents")."""

import re
from typing import NamedTuple

_WORD = re.compile(r"(\d*)<<(-?)([\"']?)([^\s<\"']+)\3")
_QUOTES = "\"'"
MOST = 100


class Heredoc(NamedTuple):
    """One document. ``text`` has its lines, each with its line feed."""

    name: str
    text: str
    expands: bool
    """Whether variables in it are replaced: not if its name was quoted."""
    strips: bool
    """``<<-``: tabs at the start of each line are taken off."""
    word: str
    """As it stands in the instruction."""

    @property
    def stripped(self) -> str:
        if not self.strips:
            return self.text
        return "".join(line.lstrip("\t") for line in self.text.splitlines(keepends=True))


def find_words(text: str) -> list[Heredoc]:
    """The documents that an instruction's words ask for, in order, still without text."""
    found = []
    for word in blank_separated(text):
        match = _WORD.fullmatch(word)
        if match is not None:
            found.append(Heredoc(match[4], "", not match[3], bool(match[2]), word))
    return found


def blank_separated(text: str) -> list[str]:
    """Words between blanks that lie outside quotes, quotes kept."""
    words: list[str] = []
    word = quote = ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char.isspace():
            if word:
                words.append(word)
            word = ""
            continue
        word += char
    return [*words, word] if word else words


def is_alone(text: str) -> bool:
    """Whether an instruction is one here-document and nothing else."""
    return _WORD.fullmatch(text.strip()) is not None
