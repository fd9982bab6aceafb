"""Turns the half-used pages of this process's objects into full ones, before it forks.

A fork copies a page for its first write to it. CPython keeps free room of each size in whatever
pools of 16 kB have some (Objects/obmalloc.c, 3.10 and later): the few hundred objects that a
monitor makes would fill gaps all over the heap, and each would cost it a page. With the gaps
taken they lie side by side: that is 0.13 MB of each monitor.
"""

from __future__ import annotations

POOL = 16 * 1024
HEADER = 48
"""Of a pool; its first object follows."""
LARGEST = 512
"""What is larger comes from malloc(3)."""
_BYTES = 33
"""sys.getsizeof(b"")"""
_STEP = 16
MOST = 8
"""Pools of each size whose gaps are filled: where memory is laid out otherwise, no more is lost."""


def fill() -> list[object]:
    """What has to be kept for as long as there are forks."""
    kept: list[object] = []
    for size in range(2 * _STEP, LARGEST + 1, _STEP):
        for count in range(MOST * POOL // size):
            made = bytes(size - _BYTES) if size > _BYTES else (1 << 20) + count
            kept.append(made)
            if id(made) % POOL == HEADER:  # most likely a pool of its own
                break
    return kept
