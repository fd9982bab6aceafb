"""Turns patterns into matchers whose time is linear in the path, whatever the pattern (E07).

``*`` and ``?`` stop at ``/``, ``[a-z]`` and ``[^a-z]`` are classes, a backslash escapes (Go's
``filepath.Match``); ``**`` passes ``/``, and ``**/`` may be nothing (moby's patternmatcher). The
states of the automaton are the bits of one integer.
"""

from dockyard.base.errors import Invalid

_LONGEST = 8192
"""Characters of a pattern: no path is as long."""


class Glob:
    """One compiled pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._literal: str | None = None
        self._chars: dict[str, int] = {}
        self._classes: list[tuple[int, bool, list[tuple[str, str]]]] = []
        self._any = self._star = self._double = self._skip = 0
        self._size = 0
        self._compile()

    def matches(self, path: str) -> bool:
        """Whether the whole path fits."""
        if self._literal is not None:
            return path == self._literal
        states = self._close(1)
        for char in path:
            states = self._close(self._step(states, char))
            if not states:
                return False
        return bool(states >> self._size & 1)

    def _step(self, states: int, char: str) -> int:
        eats = self._chars.get(char, 0)
        stays = self._double
        if char != "/":
            eats |= self._any
            stays |= self._star
        for bit, negated, ranges in self._classes:
            inside = any(first <= char <= last for first, last in ranges)
            if inside != negated and char != "/":
                eats |= bit
        return (states & eats) << 1 | states & stays

    def _close(self, states: int) -> int:
        """What is reached without a character: a star may be empty, ``**/`` left out."""
        while True:
            more = states | (states & (self._star | self._double | self._skip)) << 1
            more |= (states & self._skip) << 3
            if more == states:
                return states
            states = more

    def _compile(self) -> None:
        pattern, at = self.pattern, 0
        if len(pattern) > _LONGEST:
            raise self._broken(f"is longer than {_LONGEST} characters")
        literal = before = ""
        while at < len(pattern):
            char = pattern[at]
            bit = 1 << self._size
            double = "**/" if pattern.startswith("**/", at) else "**"
            if char == "*" and (before == "**" or before == double == "**/"):
                at += len(double) if pattern.startswith(double, at) else 1
                continue  # what any path fits already
            before = double if pattern.startswith(double, at) else ""
            if pattern.startswith("**/", at):
                self._skip |= bit
                self._double |= bit << 1
                self._chars["/"] = self._chars.get("/", 0) | bit << 2
                self._size += 2
                at += 2
            elif pattern.startswith("**", at):
                self._double |= bit
                at += 1
            elif char == "*":
                self._star |= bit
            elif char == "?":
                self._any |= bit
            elif char == "[":
                at = self._class(at, bit)
            else:
                if char == "\\":
                    at += 1
                    if at == len(pattern):
                        raise self._broken("ends with a backslash")
                    char = pattern[at]
                literal += char
                self._chars[char] = self._chars.get(char, 0) | bit
            self._size += 1
            at += 1
        wild = self._any | self._star | self._double | self._skip
        if not wild and not self._classes:
            self._literal = literal

    def _class(self, at: int, bit: int) -> int:
        """Compile the class that begins at ``[``; where its ``]`` is."""
        pattern = self.pattern
        at += 1
        negated = pattern.startswith(("^", "!"), at)
        at += negated
        ranges: list[tuple[str, str]] = []
        while at < len(pattern) and (pattern[at] != "]" or not ranges):
            first, at = self._member(at)
            last = first
            if pattern.startswith("-", at) and not pattern.startswith("-]", at):
                last, at = self._member(at + 1)
            ranges.append((first, last))
        if at >= len(pattern):
            raise self._broken("has a [ that is not closed")
        self._classes.append((bit, negated, ranges))
        return at

    def _member(self, at: int) -> tuple[str, int]:
        if self.pattern.startswith("\\", at):
            at += 1
        if at >= len(self.pattern):
            raise self._broken("has a [ that is not closed")
        return self.pattern[at], at + 1

    def _broken(self, reason: str) -> Invalid:
        return Invalid(f"pattern: {self.pattern[:80]!r}: {reason}")


def is_pattern(text: str) -> bool:
    """Whether a text means more than itself."""
    return any(char in text for char in "*?[\\")
