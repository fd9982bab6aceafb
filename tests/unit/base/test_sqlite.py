"""SQLite without what its package brings: the same statements, and whole modules afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dockyard.base import sqlite

SCRIPT = """
import sys
from dockyard.base import sqlite

print("functools" in sys.modules)
connection = sqlite.connect(":memory:", isolation_level=None)
for number in range(300):  # more than a connection keeps
    assert connection.execute(f"SELECT {number % 150}").fetchone() == (number % 150,)
import functools, sqlite3

print(functools.lru_cache.__module__)
print(sqlite3.connect(":memory:").execute("SELECT 1").fetchone())
print(sqlite3.Connection is sqlite.Connection, functools is sys.modules["functools"])
"""


def run(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_it_brings_little_and_hides_nothing() -> None:
    assert run(SCRIPT) == ["False", "functools", "(1,)", "True True"]


def test_where_the_other_one_is_there_already() -> None:
    assert run(f"import functools{SCRIPT}") == ["True", "functools", "(1,)", "True True"]


def mode(connection: sqlite.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_the_log_of_one_that_somebody_else_is_making(tmp_path: Path) -> None:
    """No patience of a connection helps: SQLite asks it nothing here."""
    path = str(tmp_path / "new.db")
    first = sqlite.connect(path, isolation_level=None)
    first.execute("BEGIN EXCLUSIVE")
    second = sqlite.connect(path, 0, isolation_level=None, check_same_thread=False)
    with pytest.raises(sqlite.OperationalError, match="locked"):
        sqlite.write_ahead(second, 0)
    waiting = threading.Thread(target=sqlite.write_ahead, args=(second, 60))
    waiting.start()
    first.execute("COMMIT")
    waiting.join(60)
    assert mode(second) == "wal"
    first.close()
    second.close()
