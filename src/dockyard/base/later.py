"""Turns a module's name into something that stands for it and imports it at its first use.

For a door to many verbs, of which a process needs one: an import costs a tenth of a millisecond or
more. Beside it, under ``TYPE_CHECKING``, stands the import that type checkers and contracts read.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Later:
    """A module of a package. Safe for threads, as imports are."""

    def __init__(self, package: str, name: str) -> None:
        self.__module = f"{package}.{name}"

    def __getattr__(self, name: str) -> Any:
        __import__(self.__module)  # another thread may be in the middle of it: this waits
        return getattr(sys.modules[self.__module], name)
