"""A build of ``COPY`` of many files, and the same again from the cache, against ``buildah bud``.

Scaled down from a tree of 17,700 files and 1.45 GB: 5,000 files and 300 MB of this system.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import place
from image import files
from measure import against, by_turns, process
from rows import Row

ROUNDS = int(os.environ.get("DYBENCH_ROUNDS", "3"))
FILES, BYTES = 5_000, 300_000_000
OURS = str(place.BIN / "dockyard")
GOAL, GOAL_CACHED = 0.4, 0.5


def context(base: Path) -> tuple[int, int]:
    """Copies of this system's files in folders of a hundred; how many, and their bytes."""
    count = total = 0
    for source in files():
        with suppress(OSError):
            size = source.stat().st_size
            # a few large ones first leave no room for the rest: the mean decides
            if total + size > (count + 1) * BYTES / FILES + 2_000_000:
                continue
            target = base / "src" / str(count // 100) / f"{count}-{source.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            count, total = count + 1, total + size
        if count == FILES:
            break
    (base / "Dockerfile").write_text("FROM scratch\nCOPY src /src\nCOPY src/0 /again\n")
    return count, total


def run() -> list[Row]:
    with place.folder() as base:
        place.need_packages()
        folder = base / "context"
        folder.mkdir()
        count, total = context(folder)
        env = {"DOCKYARD_ROOT": str(base / "dockyard")}
        store = ["--root", str(base / "buildah"), "--runroot", str(base / "run")]
        buildah = ["buildah", *store, "bud", "-q", "--layers"]
        ours = [OURS, "build", "-q", "-t", "bench"]
        fresh = by_turns(
            {
                "ours": process(*ours, "--no-cache", str(folder), env=env),
                "buildah": process(*buildah, "--no-cache", "-t", "bench", str(folder)),
            },
            ROUNDS,
        )
        again = by_turns(
            {
                "ours": process(*ours, str(folder), env=env),
                "buildah": process(*buildah, "-t", "bench", str(folder)),
            },
            ROUNDS,
        )
        what = f"{count} files, {total / 1e6:.0f} MB"
        return [
            against(f"COPY of {what}, against buildah", fresh["ours"], fresh["buildah"], GOAL),
            against("the same again, all cached", again["ours"], again["buildah"], GOAL_CACHED),
        ]
