"""Turns a ``hostPath`` (or ``local``) source into a path that is there and of the kind it says."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.environment import ConfigError

CHECKS: dict[str, Callable[[int], bool]] = {
    "Directory": stat.S_ISDIR, "DirectoryOrCreate": stat.S_ISDIR,
    "File": stat.S_ISREG, "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK, "CharDevice": stat.S_ISCHR, "BlockDevice": stat.S_ISBLK,
}  # fmt: skip


def host_path(source: Object) -> str:
    """The path; made where its type says so. Raises ConfigError for another kind of file."""
    path, kind = Path(source["path"]), source.get("type") or ""
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(mode=0o755, parents=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(0o644)
    if kind in CHECKS:
        try:
            good = CHECKS[kind](path.stat().st_mode)
        except FileNotFoundError:
            good = False
        if not good:
            words = {"Directory": "directory", "File": "file", "Socket": "socket file",
                     "CharDevice": "character device", "BlockDevice": "block device"}  # fmt: skip
            what = words[kind.removesuffix("OrCreate")]
            raise ConfigError(f"hostPath type check failed: {path} is not a {what}")
    return os.fspath(path)
