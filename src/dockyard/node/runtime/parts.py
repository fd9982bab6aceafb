"""Turns a specification and the parts of a tree that are mounted already into those that fit. Pure.

A part is what most containers have alike in one place: see :mod:`.furnishing`.
"""

from __future__ import annotations

from dockyard.base.oci.runtimespec import Mount, Spec
from dockyard.base.typed import NamedTuple

PLACES = ("/proc", "/dev", "/sys")
CGROUPS = ("cgroup", "cgroup2")
"""They show the group that a process is in, and it is in none yet."""


class Part(NamedTuple):
    """What a specification says of one place."""

    mounts: tuple[Mount, ...]
    """In order; control groups are left out."""
    readonly: tuple[str, ...]
    masked: tuple[str, ...]


class Made(NamedTuple):
    """A part that is there."""

    part: Part
    tree: int


class Chosen(NamedTuple):
    """Which parts a container takes."""

    trees: dict[int, int]
    """Index of a mount -> what lies there, with all that is mounted below."""
    within: frozenset[int]
    """Indices of mounts that such a tree holds."""
    paths: frozenset[str]
    """That are masked or read-only already."""
    devices: bool
    """Whether /dev has its nodes."""


NOTHING = Chosen({}, frozenset(), frozenset(), False)


def part_of(spec: Spec, place: str) -> Part:
    """Pure."""

    def below(path: str) -> bool:
        return path == place or path.startswith(f"{place}/")

    return Part(
        tuple(m for m in spec.mounts if below(m.destination) and m.kind not in CGROUPS),
        tuple(filter(below, spec.readonly)),
        tuple(filter(below, spec.masked)),
    )


def choose(spec: Spec, made: dict[str, Made]) -> Chosen:
    """Those that are what this specification asks for. Pure."""
    if not made or "mount" not in spec.namespaces or "user" in spec.namespaces or spec.mount_label:
        return NOTHING
    trees: dict[int, int] = {}
    within: set[int] = set()
    paths: set[str] = set()
    devices = False
    for place, (part, tree) in made.items():
        if part_of(spec, place) == part:
            first, *others = (spec.mounts.index(mount) for mount in part.mounts)
            trees[first] = tree
            within.update(others)
            paths.update(part.readonly, part.masked)
            devices = devices or place == "/dev"
    return Chosen(trees, frozenset(within), frozenset(paths), devices)
