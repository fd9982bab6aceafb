"""Turns functions with one ``yield`` into contexts: the part of ``contextlib`` that commands need.

That brings ``collections`` and ``functools``, 2 ms of every command.
"""

from __future__ import annotations

from dockyard.base.suppress import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import closing, contextmanager
    from typing import Any
else:

    class closing:
        """What has a ``close`` is closed when the block is left."""

        def __init__(self, thing):
            self._thing = thing

        def __enter__(self):
            return self._thing

        def __exit__(self, *_):
            self._thing.close()

    def contextmanager(function):
        """Of a function that yields once: what comes before is done first, and what follows when
        the block is left; an error of the block is raised at its ``yield``."""

        def made(*values: Any, **named: Any) -> _Context:
            return _Context(function(*values, **named))

        made.__doc__ = function.__doc__
        return made

    class _Context:
        def __init__(self, steps: Iterator[Any]) -> None:
            self._steps = steps

        def __enter__(self) -> Any:
            return next(self._steps)

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
        ) -> bool:
            if error is None:
                return self._end()
            try:
                self._steps.throw(error)
            except StopIteration:
                return True
            except BaseException as raised:
                if raised is not error:
                    raise
                error.__traceback__ = trace  # without our own lines
                return False
            raise RuntimeError("a context yielded twice")

        def _end(self) -> bool:
            for _ in self._steps:
                raise RuntimeError("a context yielded twice")
            return False


__all__ = ["closing", "contextmanager", "suppress"]
