"""Turns ``resources.unified`` into files of version 2: names and values as the kernel has them."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.pattern import Pattern
from dockyard.node.runtime.cgroups.controller import MOST, Write, section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


_FILE = Pattern(r"[a-z][a-z0-9_]{0,30}(\.[A-Za-z0-9_-]{1,64}){1,6}")
OURS = ("cgroup.freeze", "cgroup.kill", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads",
        "cgroup.type")  # fmt: skip
"""What the runtime itself does with a group: who is in it, and whether it runs."""


def writes(resources: Mapping[str, Any]) -> Iterator[Write]:
    """A value of several lines is several writes."""
    unified = section(resources, "unified")
    if len(unified) > MOST:
        raise Invalid(f"config: linux.resources.unified: more than {MOST} files")
    for file, value in unified.items():
        where = f"config: linux.resources.unified: {file[:80]!r}"
        if not _FILE.fullmatch(file):
            raise Invalid(f"{where}: not a file of a controller, like memory.high")
        if file in OURS:
            raise Invalid(f"{where}: belongs to the runtime; not a limit")
        if not isinstance(value, str) or "\0" in value or len(value) > 4096:
            raise Invalid(f"{where}: the value is not a text of at most 4096 characters")
        for line in value.splitlines() or [""]:
            yield file, line
