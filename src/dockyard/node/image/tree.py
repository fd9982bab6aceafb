"""Turns paths inside an untrusted tree into descriptors and changes that can't leave it.

A :class:`Tree` is a directory's descriptor. The kernel resolves every path (openat2, rooted
there); the last component is always named relative to its parent's descriptor and never followed.
"""

import errno
import os
import shutil
import stat
from types import TracebackType

from dockyard.base.errors import Invalid
from dockyard.base.linux import whiteouts
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.image.overlayform import Path

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_KEPT = 64


class Tree:
    """A directory that is written to by path. ``root`` is its descriptor, which it owns, as all
    others that it opens; use ``with``."""

    def __init__(self, root: int, what: str) -> None:
        self._what = what
        self.root = root
        self._open: dict[Path, int] = {}
        self.implied: list[Path] = []
        """Directories that were made only because something lies in them."""
        self._before: dict[Path, int] = {}
        self._marked: set[Path] = set()
        """Names that a file of another name hides."""

    def __enter__(self) -> "Tree":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.forget()
        os.close(self.root)

    def forget(self) -> None:
        """Close what was kept open: a removal may have made it point nowhere."""
        while self._open:
            os.close(self._open.popitem()[1])

    def directory(self, path: Path) -> int:
        """A descriptor of the directory, made with its parents if missing. Not for the caller to
        close; good until the next call."""
        found = self.find(path)
        if found is None:
            self._make(path)
            found = self._open[path] = self._open_made(path)
        return found

    def find(self, path: Path) -> int | None:
        """As :meth:`directory`; None where there is no directory."""
        if not path:
            return self.root
        found = self._open.get(path)
        if found is not None:
            return found
        if len(self._open) >= _KEPT:
            self.forget()
        try:
            found = open_in_root(self.root, b"/".join(path), DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise self._refused(path, error) from error
        self._open[path] = found
        return found

    def _make(self, path: Path) -> None:
        parent, name = self.touch(path[:-1]), path[-1]
        hidden = self.unhide(parent, path)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except OSError as error:
            raise self._refused(path, error) from error
        if hidden:
            self.hide_lower(path)
        self.implied.append(path)

    def hide(self, parent: int, path: Path) -> None:
        """Let a name that the layer has not hide what layers below have there."""
        if not whiteouts.hide(parent, os.fsdecode(path[-1])):
            self._marked.add(path)

    def unhide(self, parent: int, path: Path) -> bool:
        """Take the whiteout of a name away; whether there was one."""
        if self.forget_mark(parent, path):
            return True
        if is_whiteout(parent, path[-1]):
            os.unlink(path[-1], dir_fd=parent)
            return True
        return False

    def forget_mark(self, parent: int, path: Path) -> bool:
        """As :meth:`unhide`, of a whiteout that has another name than what it hides."""
        if path not in self._marked:
            return False
        self._marked.remove(path)
        os.unlink(os.fsencode(whiteouts.PREFIX) + path[-1], dir_fd=parent)
        return True

    def _open_made(self, path: Path) -> int:
        return os.open(path[-1], DIRECTORY | os.O_NOFOLLOW, dir_fd=self.directory(path[:-1]))

    def touch(self, path: Path) -> int:
        """As :meth:`directory`; :meth:`restore_times` gives it back the time it has now."""
        fd = self.directory(path)
        if path not in self._before:
            self._before[path] = os.fstat(fd).st_mtime_ns
        return fd

    def restore_times(self, times: dict[Path, int]) -> None:
        """Set directories' times, so that the same changes always leave the same tree: ``times``
        say, else a directory made on the way has 0 and a touched one what it had before."""
        made = dict.fromkeys(self.implied, 0)
        for path, mtime in (self._before | made | times).items():
            os.utime(self.directory(path), ns=(mtime, mtime))

    def hide_lower(self, path: Path) -> None:
        """Make a directory opaque: what layers below have in it is not seen (overlayfs)."""
        fd = self._open_made(path) if path else os.dup(self.root)
        try:
            whiteouts.make_opaque(fd)
        finally:
            os.close(fd)

    def remove(self, parent: int, name: bytes) -> None:
        """Remove whatever has this name, with all in it, following nothing."""
        self.forget()
        found = os.lstat(name, dir_fd=parent)
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)

    def _refused(self, path: Path, error: OSError) -> Invalid:
        name = b"/".join(path).decode("utf-8", "backslashreplace")
        return Invalid(f"{self._what}: {name[:200]!r}: {error.strerror}; refused")


def is_whiteout(parent: int, name: bytes) -> bool:
    """Whether overlayfs sees a whiteout there: a character device 0:0."""
    try:
        found = os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    return whiteouts.is_device(found)
