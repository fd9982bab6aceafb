"""Turns a data root into the way in which trees are made of its layers, and the reason for it.

Said by whoever runs us: ``DOCKYARD_STORAGE_DRIVER`` (``--storage-driver``), else ``driver`` in
``storage.conf`` of the data root or of /etc/dockyard (containers-storage.conf(5)). Else it is tried
out once, best first, and remembered in ``storage.json`` for this file system and kernel.
"""

from __future__ import annotations

import os
import sys

from dockyard.base import jsontext
from dockyard.base.errors import Invalid
from dockyard.base.linux.overlay import FUSE, NATIVE, OVERLAY
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SETTING = "DOCKYARD_STORAGE_DRIVER"
NAMES = {
    "overlay": OVERLAY, "overlay2": OVERLAY, FUSE: FUSE, "native": NATIVE, "vfs": NATIVE,
}  # fmt: skip
"""Every word by which a driver is known in the field -> ours."""


class Driver(NamedTuple):
    """How trees are made."""

    name: str
    """Of :data:`~dockyard.base.linux.overlay.OVERLAY`, ``FUSE`` and ``NATIVE``."""
    reason: str
    """Why it is this one; empty for the best, chosen by nobody."""


def chosen(data_root: str) -> Driver:
    """The driver for new containers and builds of this data root."""
    if said := os.environ.get(SETTING, ""):
        return Driver(parse(said, SETTING), f"by {SETTING}")
    for path in (os.path.join(data_root, "storage.conf"), "/etc/dockyard/storage.conf"):
        if found := _configured(path):
            return found
    place = _place(data_root)
    record = os.path.join(data_root, "storage.json")
    known = _read(record)
    if known.get("place") == place and known.get("driver") in NAMES.values():
        return Driver(str(known["driver"]), str(known.get("reason", "")))
    return _try(data_root, record)


def parse(word: str, where: str) -> str:
    """A driver's name; :class:`Invalid` with all that there are."""
    if word not in NAMES:
        raise Invalid(f"{where}: {word!r}: no such storage driver; there are {', '.join(NAMES)}")
    return NAMES[word]


def _place(data_root: str) -> list[object]:
    """What an answer holds for."""
    try:
        device = os.stat(data_root).st_dev
    except FileNotFoundError:
        device = 0
    return [device, os.uname().release, os.geteuid()]


def _read(path: str) -> dict[str, Any]:
    """A record; what is no record is none: the answer is found again."""
    try:
        with open(path, encoding="utf-8") as file:
            found = jsontext.loads(file.read())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _configured(path: str) -> Driver | None:
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 20)
    except FileNotFoundError:
        return None
    import tomllib

    try:
        found = tomllib.loads(data.decode()).get("storage", {})
        word = found.get("driver", "")
        program = found.get("options", {}).get("overlay", {}).get("mount_program", "")
    except (ValueError, AttributeError, RecursionError) as error:
        raise Invalid(f"{path}: {error}: see containers-storage.conf(5)") from error
    if not word:
        return None
    name = parse(str(word), f"{path}: storage.driver")
    if name == OVERLAY and os.path.basename(str(program)) == FUSE:
        name = FUSE
    return Driver(name, f"by {path}")


def _try(data_root: str, record: str) -> Driver:
    from dockyard.base.linux.drivertrial import best

    os.makedirs(data_root, mode=0o711, exist_ok=True)
    name, reason = best(data_root)
    found = {"driver": name, "reason": reason, "place": _place(data_root)}
    fresh = f"{record}.{os.urandom(4).hex()}"
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(fresh, how, 0o600), "w", encoding="utf-8") as file:
        file.write(jsontext.dumps(found))
    os.replace(fresh, record)
    if reason:
        print(f"storage driver: {name}: {reason}", file=sys.stderr)
    return Driver(name, reason)
