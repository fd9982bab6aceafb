"""Turns a path into whether a package database is there, and databases into packages."""

from collections.abc import Callable, Iterable
from itertools import islice

from dockyard.base.errors import DockyardError
from dockyard.node.image.risk.databases import apk, dpkg, rpm
from dockyard.node.image.risk.finding import Package

Path = tuple[bytes, ...]
Reader = Callable[[bytes, str], Iterable[Package]]

_READERS: dict[Path, Reader] = {
    (b"var", b"lib", b"dpkg", b"status"): dpkg.packages,
    (b"lib", b"apk", b"db", b"installed"): apk.packages,
    (b"usr", b"lib", b"apk", b"db", b"installed"): apk.packages,
    (b"var", b"lib", b"rpm", b"rpmdb.sqlite"): rpm.packages,
    (b"usr", b"lib", b"sysimage", b"rpm", b"rpmdb.sqlite"): rpm.packages,
}
MOST = 100_000
"""Packages of one database."""
_PARTS = (b"var", b"lib", b"dpkg", b"status.d")
"""Distroless images: a file a package."""
_UNREADABLE: tuple[Path, ...] = tuple(
    (*folder, name)
    for folder in ((b"var", b"lib", b"rpm"), (b"usr", b"lib", b"sysimage", b"rpm"))
    for name in (b"Packages", b"Packages.db")
)
"""rpm's Berkeley and ndb forms."""


def reads(path: Path) -> bool:
    """Whether the file at this path is asked for as a whole."""
    return _reader(path) is not None or path in _UNREADABLE


def packages(documents: dict[Path, bytes], notes: list[str]) -> list[Package]:
    """Sorted by name; what can't be read is a note."""
    found: set[Package] = set()
    for path, data in documents.items():
        shown = "/" + b"/".join(path).decode("utf-8", "backslashreplace")
        if path in _UNREADABLE:
            notes.append(f"{shown}: rpm's older database form: not implemented")
        reader = _reader(path)
        if reader is None:
            continue
        try:
            read = iter(reader(data, shown))
            found.update(islice(read, MOST))
            if next(read, None) is not None:
                notes.append(f"{shown}: more than {MOST} packages: the rest is left out")
        except DockyardError as error:
            notes.append(str(error))
    return sorted(found)


def _reader(path: Path) -> Reader | None:
    if path[:-1] == _PARTS and not path[-1].endswith(b".md5sums"):
        return dpkg.packages
    return _READERS.get(path)
