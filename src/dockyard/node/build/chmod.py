"""Turns ``--chmod`` words into modes: octal digits, or chmod(1)'s symbolic form."""

import re
import stat
from typing import NamedTuple

_OCTAL = re.compile(r"[0-7]{1,4}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


class Mode(NamedTuple):
    """What a mode becomes."""

    octal: int | None
    clauses: tuple[tuple[str, str, str], ...]
    """who, ``+``, ``-`` or ``=``, and what."""

    def of(self, mode: int) -> int:
        """The new permission bits of a file with this ``st_mode``."""
        if self.octal is not None:
            return self.octal
        bits = stat.S_IMODE(mode)
        for who, action, what in self.clauses:
            mask = 0
            for char in who or "a":
                mask |= _WHO[char]
            wanted = 0
            for char in what:
                if char == "X":
                    wanted |= 0o111 if stat.S_ISDIR(mode) or bits & 0o111 else 0
                else:
                    wanted |= _BITS[char]
            wanted &= mask
            if action == "=":
                bits = (bits & ~mask) | wanted
            else:
                bits = bits | wanted if action == "+" else bits & ~wanted
        return bits


def parse_mode(text: str) -> Mode | None:
    """None for what is neither form."""
    if _OCTAL.fullmatch(text):
        return Mode(int(text, 8), ())
    clauses: list[tuple[str, str, str]] = []
    for part in text.split(","):
        match = _CLAUSE.fullmatch(part)
        if match is None:
            return None
        clauses += [(match[1], action, what) for action, what in _ACTION.findall(match[2])]
    return Mode(None, tuple(clauses))
