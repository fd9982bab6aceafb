"""Turns files of one tree into files of another, as COPY and ADD lay them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.linux import attributes
from dockyard.base.linux.openat2 import open_in_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.build.chmod import Mode
    from dockyard.node.build.files import File, Files
    from dockyard.node.build.source import Line
    from dockyard.node.image.overlayform import Path
    from dockyard.node.image.tree import Tree

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_LARGEST_PIECE = 1 << 30
_MOST_LINKS = 40
"""As the kernel's (path_resolution(7))."""


class Placed(NamedTuple):
    """One file and where it goes, below the destination (empty: the destination itself)."""

    path: str
    file: File
    files: Files
    alone: bool = False
    """A file that was named itself: not one of a directory that was."""


class Manner(NamedTuple):
    """How files are laid."""

    ids: tuple[int, int] | None
    """None: files keep their owners."""
    mode: Mode | None
    epoch: int | None
    """Seconds: the time of what comes from a context, and its modes are as git keeps them."""


class Placer:
    """Lays files into a tree."""

    def __init__(self, tree: Tree, line: Line, manner: Manner) -> None:
        self._tree = tree
        self._line = line
        self._manner = manner
        self._times: dict[Path, int] = {}
        self._linked: dict[tuple[int, int], Path] = {}

    def lay(self, item: Placed, target: Path, *, inside: bool) -> None:
        """Lay one file or directory. ``inside``: the destination is a directory."""
        below = tuple(os.fsencode(part) for part in item.path.split("/") if part)
        if item.file.is_directory:
            self._directory(item, (*target, *below))
        elif inside or len(below) > 1:
            self._leaf(item, (*target, *below))
        else:
            self._leaf(item, target)

    def finish(self) -> None:
        """Owners of directories made on the way, and times: each file laid changes them."""
        ids = self._manner.ids or (0, 0)
        for path in self._tree.implied:
            if path not in self._times:
                os.fchown(self._tree.directory(path), *ids)
        self._tree.restore_times(self._times)

    def write(self, data: bytes, path: Path, mode: int, mtime: int) -> None:
        """Lay bytes as a file; ``mtime`` in nanoseconds."""
        parent, name = self._free(path, "here-document")
        fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchown(fd, *(self._manner.ids or (0, 0)))
            wanted = self._manner.mode
            os.fchmod(fd, wanted.of(stat.S_IFREG | mode) if wanted else mode)
            os.utime(fd, ns=(mtime, mtime))

    def _directory(self, item: Placed, path: Path) -> None:
        file = item.file
        known = is_directory(self._tree, path)
        fd = self._tree.directory(path)
        if known or (not file.path and item.files.outside):
            return
        if item.path:
            os.fchown(fd, *self._ids(file))
            os.fchmod(fd, self._mode(item))
            attributes.give(fd, item.files.attributes(file))
        else:  # what a directory's contents go to is made for them: its own mode and owner stay
            os.fchown(fd, *(self._manner.ids or (0, 0)))
        self._times[path] = self._time(item)

    def _leaf(self, item: Placed, path: Path) -> None:
        file = item.file
        parent, name = self._free(path, file.path)
        if file.link:
            os.symlink(file.link, name, dir_fd=parent)
            os.chown(name, *self._ids(file), dir_fd=parent, follow_symlinks=False)
        elif not stat.S_ISREG(file.found.st_mode):
            kind = stat.S_IFMT(file.found.st_mode)
            os.mknod(name, kind | 0o600, file.found.st_rdev, dir_fd=parent)
            os.chown(name, *self._ids(file), dir_fd=parent, follow_symlinks=False)
            os.chmod(name, self._mode(item), dir_fd=parent)
        elif not self._link(item, parent, name, path):
            self._copy(item, parent, name)
            return
        else:
            return
        mtime = self._time(item)
        os.utime(name, ns=(mtime, mtime), dir_fd=parent, follow_symlinks=False)

    def _free(self, path: Path, what: str) -> tuple[int, bytes]:
        """The parent's descriptor and the name, with nothing there any more."""
        if not path:
            raise self._line.invalid(f"{what}: a file can't be the root")
        parent, name = self._tree.touch(path[:-1]), path[-1]
        try:
            found = os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            return parent, name
        if stat.S_ISDIR(found.st_mode):
            raise self._line.invalid(f"{what}: there is a directory of this name already")
        os.unlink(name, dir_fd=parent)
        return parent, name

    def _link(self, item: Placed, parent: int, name: bytes, path: Path) -> bool:
        """Names of one file stay names of one file."""
        found = item.file.found
        if found.st_nlink < 2:
            return False
        first = self._linked.setdefault((found.st_dev, found.st_ino), path)
        if first == path:
            return False
        held = os.dup(parent)
        try:
            source = self._tree.directory(first[:-1])
            os.link(first[-1], name, src_dir_fd=source, dst_dir_fd=held, follow_symlinks=False)
        finally:
            os.close(held)
        return True

    def _copy(self, item: Placed, parent: int, name: bytes) -> None:
        """The bytes, unless the file has changed since it was looked at."""
        file = item.file
        source = item.files.open(file)
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
            try:
                _transfer(source, fd, file.found.st_size)
                if _identity(os.fstat(source)) != _identity(file.found):
                    reason = "changed while it was copied; build again"
                    raise self._line.invalid(f"{file.path}: {reason}")
                os.fchown(fd, *self._ids(file))
                os.fchmod(fd, self._mode(item))
                attributes.give(fd, item.files.attributes(file))
                mtime = self._time(item)
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)
        finally:
            os.close(source)

    def _ids(self, file: File) -> tuple[int, int]:
        return self._manner.ids or (file.found.st_uid, file.found.st_gid)

    def _mode(self, item: Placed) -> int:
        mode = mode_of(item, self._manner.epoch)
        return self._manner.mode.of(mode) if self._manner.mode else stat.S_IMODE(mode)

    def _time(self, item: Placed) -> int:
        if self._manner.epoch is not None and item.files.outside:
            return self._manner.epoch * 1_000_000_000
        if item.files.time is not None:
            return item.files.time
        return item.file.found.st_mtime_ns


def mode_of(item: Placed, epoch: int | None) -> int:
    """``st_mode``; in a reproducible build a context's files have the modes that git keeps, which
    no umask changes."""
    mode = item.file.found.st_mode
    if epoch is None or not item.files.outside:
        return mode
    wanted = 0o755 if item.file.is_directory or mode & 0o100 else 0o644
    return stat.S_IFMT(mode) | wanted


def place(files: Files, source: File, name: str = "") -> Iterator[Placed]:
    """A file keeps its name; a directory's contents go, not the directory itself."""
    if not source.is_directory:
        yield Placed(name or source.name, source, files, alone=True)
        return
    yield Placed("", source, files)
    start = len(source.path) + 1 if source.path else 0
    for file in files.below(source):
        if not stat.S_ISSOCK(file.found.st_mode):
            yield Placed(file.path[start:], file, files)


def landing(tree: Tree, path: Path, line: Line) -> Path:
    """Where a destination leads, through links in the tree also where what they name is missing:
    as docker and buildah have it, it is made there."""
    done: Path = ()
    left = list(path)
    hops = 0
    while left:
        name = left.pop(0)
        if name in (b"", b"."):
            continue
        if name == b"..":  # of a link: what is before it has none any more
            done = done[:-1]
            continue
        parent = tree.find(done)
        try:
            link = b"" if parent is None else os.readlink(name, dir_fd=parent)
        except OSError:
            link = b""
        if not link:
            done = (*done, name)
            continue
        hops += 1
        if hops > _MOST_LINKS:
            shown = os.fsdecode(b"/".join(path))
            raise line.invalid(f"/{shown}: too many levels of symbolic links")
        done = () if link.startswith(b"/") else done
        left = [*link.split(b"/"), *left]
    return done


def is_directory(tree: Tree, path: Path) -> bool:
    try:
        os.close(open_in_root(tree.root, b"/".join(path) or b".", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    return True


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _transfer(source: int, target: int, size: int) -> None:
    """In the kernel: a copy on the same file system may share its blocks."""
    left = size
    while left > 0:
        try:
            done = os.copy_file_range(source, target, min(left, _LARGEST_PIECE))
        except OSError:
            done = os.sendfile(target, source, None, min(left, _LARGEST_PIECE))
        if not done:
            return
        left -= done
