"""Turns a data root into the names that keep its kernel objects apart from other instances'."""

from __future__ import annotations

import os
import stat

from dockyard.base.errors import Denied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_ROOT = "/var/lib/dockyard"
RUN_ROOT = "/run/dockyard"


def root_path(flag: str | None = None) -> str:
    """The data root: the flag, else ``DOCKYARD_ROOT``, else the default; absolute, not yet made."""
    return os.path.realpath(flag or os.environ.get("DOCKYARD_ROOT") or default_root())


def default_root() -> str:
    """The machine's, or an ordinary user's own (XDG Base Directory Specification)."""
    if os.geteuid() == 0:
        return DEFAULT_ROOT
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(data, "dockyard")


def run_root() -> str:
    """The folder of all instances' run directories. Where a user has no ``XDG_RUNTIME_DIR``, one
    in /tmp, which is refused below if it is somebody else's."""
    if os.geteuid() == 0:
        return RUN_ROOT
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and os.path.isdir(given):
        return os.path.join(given, "dockyard")
    return f"/tmp/dockyard-{os.geteuid()}"  # noqa: S108 - whose it is is checked


def data_root(flag: str | None = None) -> Path:
    """As :func:`root_path`, for whoever can afford pathlib."""
    from pathlib import Path

    return Path(root_path(flag))


def instance_id(root: str | os.PathLike[str]) -> str:
    """Eight hex digits that every kernel-global name of this data root carries."""
    try:  # CPython's own, without the 3 ms that OpenSSL's take to load
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256
    digest: str = sha256(os.fsencode(os.path.realpath(root))).hexdigest()
    return digest[:8]


def run_path(root: str | os.PathLike[str]) -> str:
    """``/run/dockyard/<id>``: sockets and state that a reboot may lose. Made here, 0700, ours.

    The link ``root`` in it leads back: whose it is, a person can see.
    """
    above = run_root()
    path = os.path.join(above, instance_id(root))
    os.makedirs(above, 0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
    _require_own(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        _require_own(path)
    else:
        os.symlink(os.path.realpath(root), os.path.join(path, "root"))
    os.chmod(path, 0o700)
    return path


def _require_own(folder: str) -> None:
    found = os.lstat(folder)
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise Denied(f"run directory: {folder}: belongs to uid {found.st_uid}; remove it")


def run_dir(root: str | os.PathLike[str]) -> Path:
    """As :func:`run_path`, for whoever can afford pathlib."""
    from pathlib import Path

    return Path(run_path(root))
