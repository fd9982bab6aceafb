"""Turns CPython's SQLite into what databases here use: without ``sqlite3.dbapi2``.

That loads ``datetime`` and registers converters for it, a millisecond of every command; no column
here is a date. Another is what ``_sqlite3`` needs one function of ``functools`` for, which brings
``collections``: it gets that function alone.
"""

from __future__ import annotations

import sys

from dockyard.base.aio.now import monotonic, pause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection, DatabaseError, OperationalError, connect
    from typing import Any
else:
    try:
        from _functools import _lru_cache_wrapper

        class _Functools:
            """In the place of ``functools`` while ``_sqlite3`` is loaded."""

            @staticmethod
            def lru_cache(size: int) -> Any:
                """A connection's statements: ``lru_cache(size)(connection)``."""
                return lambda function: _lru_cache_wrapper(function, size, False, tuple)

        alone = sys.modules.setdefault("functools", _Functools) is _Functools
        try:
            from _sqlite3 import Connection, DatabaseError, OperationalError, connect
        finally:
            if alone:
                del sys.modules["functools"]
    except ImportError:  # another Python's way
        from sqlite3 import Connection, DatabaseError, OperationalError, connect

__all__ = ["Connection", "DatabaseError", "OperationalError", "connect", "write_ahead"]

SECONDS_TO_TRY_AGAIN = 0.002


def write_ahead(connection: Connection, seconds: float) -> None:
    """Give a database its write-ahead log, unless it has one.

    Where several make a new one, SQLite tells all but one at once that it is locked, whatever their
    connections' patience: sqlite3_busy_handler() says that nobody is asked where to wait might be a
    deadlock. It is tried again, for so many seconds.
    """
    deadline = monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except OperationalError as error:
            if "locked" not in str(error) or monotonic() >= deadline:
                raise
            pause(SECONDS_TO_TRY_AGAIN)
        else:
            return
