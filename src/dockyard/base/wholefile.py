"""Turns a path into a file that is there when all of it is written, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[IO[bytes]]:
    """It takes its name when the block ends; an error in it leaves what was there before."""
    part = Path(f"{path}.{os.urandom(4).hex()}.part")
    try:
        with part.open("xb") as out:
            yield out
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
