"""Turns CPython's SQLite into what databases here use: without ``sqlite3.dbapi2``.

That loads ``datetime`` and registers converters for it, a millisecond of every command; no column
here is a date.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection, DatabaseError, OperationalError, connect
else:
    try:
        from _sqlite3 import Connection, DatabaseError, OperationalError, connect
    except ImportError:  # another Python's way
        from sqlite3 import Connection, DatabaseError, OperationalError, connect

__all__ = ["Connection", "DatabaseError", "OperationalError", "connect"]
