"""Turns errors that change nothing into nothing: ``contextlib.suppress``, and no more than that.

For processes that stay small: ``contextlib`` brings ``collections`` and ``functools``, 0.6 MB.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class suppress:
    """What is raised in the block of one of these classes ends it, and nothing else."""

    def __init__(self, *classes: type[BaseException]) -> None:
        self._classes = classes

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> bool:
        return kind is not None and issubclass(kind, self._classes)
