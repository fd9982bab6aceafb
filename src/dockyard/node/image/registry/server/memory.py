"""Turns a request's target into a manifest's whole answer, kept in memory until its repository
changes: most pulls ask for few manifests."""

from __future__ import annotations

from typing import NamedTuple

LARGEST = 64 * 1024
MOST_BYTES = 8 * 1024 * 1024
_OVERHEAD = 300


class Answer(NamedTuple):
    """What a GET is answered with."""

    name: str
    version: int
    """Of the repository, when it was read."""
    etag: str
    headers: bytes
    body: bytes


class Memory:
    """Answers by target. Used by the event loop's thread only."""

    def __init__(self, versions: dict[str, int]) -> None:
        """``versions``: of the repositories, as the store counts them."""
        self._versions = versions
        self._answers: dict[bytes, Answer] = {}
        self._size = 0

    def get(self, target: bytes) -> Answer | None:
        found = self._answers.get(target)
        if found is None:
            return None
        if self._versions.get(found.name, 0) != found.version:
            self._drop(target)
            return None
        return found

    def put(self, target: bytes, answer: Answer) -> None:
        """Keep one that was read just now."""
        if len(answer.body) > LARGEST:
            return
        self._drop(target)
        self._answers[target] = answer
        self._size += _OVERHEAD + len(target) + len(answer.body)
        while self._size > MOST_BYTES:
            self._drop(next(iter(self._answers)))

    def _drop(self, target: bytes) -> None:
        found = self._answers.pop(target, None)
        if found is not None:
            self._size -= _OVERHEAD + len(target) + len(found.body)
