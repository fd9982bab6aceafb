"""Turns access modes of volumes into their faults and their short names."""

from __future__ import annotations

from collections.abc import Sequence

from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

SHORT = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
VOLUME_MODES = ("Block", "Filesystem")


def short(modes: Sequence[str]) -> str:
    """``RWO,ROX``: each once, in the order of the table."""
    return ",".join(SHORT[mode] for mode in SHORT if mode in modes)


def check(modes: Sequence[str], path: str) -> list[FieldError]:
    if not modes:
        return [field.required(path, "at least 1 access mode is required")]
    return [field.not_supported(path, mode, sorted(SHORT)) for mode in modes if mode not in SHORT]
