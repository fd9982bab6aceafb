"""Turns the steps of a transfer into calls on whoever shows them."""

from __future__ import annotations

from dockyard.base.typed import Protocol


class Progress(Protocol):
    """Told what happens to each part (a layer's or document's short digest). Any thread calls."""

    def note(self, text: str) -> None:
        """A line about the whole transfer."""

    def status(self, part: str, text: str) -> None:
        """A part changed its state: ``Downloading``, ``Layer already exists``."""

    def advance(self, part: str, text: str, done: int, total: int) -> None:
        """Bytes of a part that are done; ``total`` is 0 where it is not known."""


class Silent:
    """Shows nothing."""

    def note(self, text: str) -> None:
        pass

    def status(self, part: str, text: str) -> None:
        pass

    def advance(self, part: str, text: str, done: int, total: int) -> None:
        pass
