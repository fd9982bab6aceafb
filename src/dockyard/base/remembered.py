"""Turns a function into one that remembers its last answers: ``functools.lru_cache``, whose module
brings ``collections``, as far as commands need it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache as remembered
else:

    def remembered(most):
        """Keep at most so many answers; when there are more, all are forgotten."""

        def wrapped(function):
            known = {}

            def ask(*words):
                if words not in known:
                    answer = function(*words)
                    if len(known) >= most:
                        known.clear()
                    known[words] = answer
                    return answer
                return known[words]

            ask.cache_clear = known.clear
            ask.__doc__ = function.__doc__
            return ask

        return wrapped


__all__ = ["remembered"]
