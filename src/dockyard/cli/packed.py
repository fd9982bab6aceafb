"""Turns a verb's modules into one file, so that its next start finds them at once (``base.pack``).

A pack a verb: what the others load is not read. ``run`` begins after it has forked, so that its
monitor does not carry it.
"""

from __future__ import annotations

import os

from dockyard.base.pack import Pack

_CACHE = f"{os.path.dirname(__file__)}/__pycache__"
_pack: Pack | None = None


def begin(name: str, folder: str = _CACHE) -> None:
    """Once in a process; ``name`` is the verb's module."""
    global _pack
    if _pack is None:
        _pack = Pack(f"{folder}/{name}.pack")
        _pack.install()


def end() -> None:
    """Add what the verb has loaded besides."""
    if _pack is not None:
        _pack.keep()
