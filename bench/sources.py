"""Turns this system's files into the selection that images of the benches are made of.

What a large image of the field has: 17,700 files and 1.45 GB, most of them small. Files of up to
the mean and larger ones by turns, so that any part of it is like the whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FILES, BYTES = 17_700, 1_450_000_000
LARGEST = 40_000_000
FOLDERS = ("/usr/lib", "/usr/share")
PACKED = frozenset((".jar", ".gz", ".xz", ".zip", ".whl", ".png", ".jpg", ".bz2", ".zst", ".woff2"))
"""Left out: files that are compressed already, so that the whole packs to about a third."""


def chosen() -> Iterator[tuple[Path, int]]:
    """The files with their sizes; fewer where the system has not as many."""
    mean = BYTES / FILES
    small: list[tuple[Path, int]] = []
    large: list[tuple[Path, int]] = []
    for path, size in _all():
        (small if size <= mean else large).append((path, size))
    small.reverse()
    large.reverse()
    count = total = 0
    while count < FILES and (small or large):
        rows = large if large and (total < count * mean or not small) else small
        path, size = rows.pop()
        yield path, size
        count, total = count + 1, total + size


def _all() -> Iterator[tuple[Path, int]]:
    for top in FOLDERS:
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                with suppress(OSError):
                    if path.suffix in PACKED:
                        continue
                    if path.is_file() and not path.is_symlink():
                        size = path.stat().st_size
                        if size <= LARGEST:
                            yield path, size
