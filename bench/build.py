"""A build of ``COPY`` of many files, and the same again from the cache, against docker's classic
builder and ``buildah bud``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import place
from docker import dockerd
from image import cost, disk
from measure import against, process, sample
from netns import network
from rows import Row
from sources import chosen

ROUNDS = int(os.environ.get("DYBENCH_ROUNDS", "3"))
OURS = str(place.BIN / "dockyard")
GOAL, GOAL_CACHED, GOAL_MEMORY = 0.4, 0.5, 150.0
FILES_A_FOLDER = 100

Once = Callable[[], float]
"""Builds it once, in milliseconds."""


def context(folder: Path) -> tuple[int, int]:
    """Copies of this system's files in folders of a hundred; how many, and their bytes."""
    count = total = 0
    for source, _ in chosen():
        target = folder / "src" / str(count // FILES_A_FOLDER) / f"{count}-{source.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            shutil.copyfile(source, target)
            count, total = count + 1, total + target.stat().st_size
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")
    return count, total


class Builders:
    """Each builds into a store that is empty and on a disk of its own."""

    def __init__(self, base: Path, folder: Path) -> None:
        self._base, self._folder = base, str(folder)
        self.memory = 0.0

    @contextmanager
    def ours(self) -> Iterator[Once]:
        """Our command line."""
        with disk(self._base) as at:
            yield lambda: self._noted(at)

    def _noted(self, at: Path) -> float:
        env = {"DOCKYARD_ROOT": str(at / "root")}
        found = cost(OURS, "build", "-q", "-t", "bench", self._folder, env=env)
        self.memory = max(self.memory, found.memory)
        return found.wall

    @contextmanager
    def docker(self) -> Iterator[Once]:
        """Docker's, whose daemon has started before; its classic builder."""
        env = {"DOCKER_BUILDKIT": "0"}
        with disk(self._base) as at, dockerd(at) as docker:
            yield docker.timed("build", "-q", "-t", "bench", self._folder, env=env)

    @contextmanager
    def buildah(self) -> Iterator[Once]:
        """Buildah's, with the cache that the others have too."""
        with disk(self._base) as at:
            env = {"TMPDIR": str(at)}
            words = ["--root", str(at / "buildah"), "--runroot", str(at / "run"), "bud", "-q"]
            yield process("buildah", *words, "--layers", "-t", "bench", self._folder, env=env)


def run() -> list[Row]:
    """A new build, then the same again, each in its own store; all three by turns."""
    with place.folder() as base, network():
        folder = base / "context"
        count, total = context(folder)
        builders = Builders(base, folder)
        ways = {
            "ours": builders.ours, "docker": builders.docker, "buildah": builders.buildah,
        }  # fmt: skip
        fresh: dict[str, list[float]] = {name: [] for name in ways}
        again: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                with way() as build:
                    fresh[name].append(build())
                    again[name].append(build())
        new, cached = ({name: sample(one) for name, one in of.items()} for of in (fresh, again))
    what = f"COPY of {count} files, {total / 1e6:.0f} MB"
    return [
        against(f"{what}, against docker's classic builder", new["ours"], new["docker"], GOAL),
        against("the same, against buildah", new["ours"], new["buildah"], GOAL),
        against("the same again, all cached, against docker", cached["ours"], cached["docker"],
                GOAL_CACHED),
        against("the same again, against buildah", cached["ours"], cached["buildah"], None),
        Row("memory of the client that builds", builders.memory, None, None, GOAL_MEMORY, "MB"),
    ]  # fmt: skip
