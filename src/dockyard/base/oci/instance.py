"""Turns a data root into the names that keep its kernel objects apart from other instances'."""

import hashlib
import os
import stat
from pathlib import Path

from dockyard.base.errors import Denied

DEFAULT_ROOT = "/var/lib/dockyard"
RUN_ROOT = "/run/dockyard"


def data_root(flag: str | None = None) -> Path:
    """The data root: the flag, else ``DOCKYARD_ROOT``, else the default; absolute, not yet made."""
    return Path(os.path.realpath(flag or os.environ.get("DOCKYARD_ROOT") or DEFAULT_ROOT))


def instance_id(root: str | os.PathLike[str]) -> str:
    """Eight hex digits that every kernel-global name of this data root carries."""
    return hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:8]


def run_dir(root: str | os.PathLike[str]) -> Path:
    """``/run/dockyard/<id>``: sockets and state that a reboot may lose. Made here, 0700, ours."""
    path = Path(RUN_ROOT) / instance_id(root)
    os.makedirs(RUN_ROOT, 0o711, exist_ok=True)
    os.makedirs(path, 0o700, exist_ok=True)
    found = os.lstat(path)
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise Denied(f"run directory: {path}: belongs to uid {found.st_uid}; remove it")
    os.chmod(path, 0o700)
    return path
