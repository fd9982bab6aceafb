"""Turns a regular expression into one that is compiled at its first use.

``re`` and what it compiles are 4 ms of a command, of which most need no expression at all.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match
    from re import Pattern as Compiled


class Pattern:
    """As ``re.compile`` gives."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._compiled: Compiled[str] | None = None

    def _ready(self) -> Compiled[str]:
        if self._compiled is None:
            import re

            self._compiled = re.compile(self._text)
        return self._compiled

    def fullmatch(self, text: str) -> Match[str] | None:
        """The whole text's match."""
        return self._ready().fullmatch(text)

    def search(self, text: str) -> Match[str] | None:
        """The first match."""
        return self._ready().search(text)

    def sub(self, new: str | Callable[[Match[str]], str], text: str) -> str:
        """The text with each match replaced."""
        return self._ready().sub(new, text)
