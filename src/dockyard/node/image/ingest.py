"""Turns unfinished content into temporary files that a crash can't leave behind for long.

Whoever makes one holds a lock (flock(2)) on it; what nobody holds any more is swept away at the
next write. The folder's own lock keeps a sweep from seeing one that is made but not yet held.
"""

from __future__ import annotations

import fcntl
import os

from dockyard.base import contexts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Ingest:
    """The folder where content grows before it is renamed into place."""

    def __init__(self, root: str) -> None:
        self._root = root

    @contexts.contextmanager
    def file(self) -> Iterator[tuple[str, int]]:
        """A new empty file: path and descriptor. Gone afterwards unless renamed away."""
        path, fd = self._make(directory=False)
        try:
            yield path, fd
        finally:
            with contexts.suppress(FileNotFoundError):
                os.unlink(path)
            os.close(fd)

    @contexts.contextmanager
    def directory(self) -> Iterator[str]:
        """A new empty directory, 0700. Gone afterwards with all in it, unless renamed away."""
        path, fd = self._make(directory=True)
        try:
            yield path
        finally:
            if os.path.lexists(path):
                _remove_tree(path)
            os.close(fd)

    def _make(self, *, directory: bool) -> tuple[str, int]:
        os.makedirs(self._root, 0o700, exist_ok=True)
        path = os.path.join(self._root, os.urandom(8).hex())
        with self._lock(fcntl.LOCK_SH):
            if directory:
                os.mkdir(path, 0o700)
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            else:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
        return path, fd

    @contexts.contextmanager
    def alone(self, name: str, wait: Callable[[], object]) -> Iterator[None]:
        """Held by one process and thread at a time, so that what all want is made once.

        ``wait`` is called while somebody else has it: it blocks for a moment, or raises.
        """
        os.makedirs(self._root, 0o700, exist_ok=True)
        path = os.path.join(self._root, f"alone-{name}")
        while (fd := _held_alone(path)) is None:
            wait()
        try:
            yield
        finally:
            os.unlink(path)
            os.close(fd)

    def sweep(self) -> None:
        """Remove what a crash left."""
        if not os.path.isdir(self._root):
            return
        with self._lock(fcntl.LOCK_EX):
            for entry in os.scandir(self._root):
                if entry.name != "lock":
                    self._remove_if_free(entry)

    def _remove_if_free(self, entry: os.DirEntry[str]) -> None:
        try:
            fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if entry.is_dir(follow_symlinks=False):
                _remove_tree(entry.path)
            else:
                with contexts.suppress(FileNotFoundError):
                    os.unlink(entry.path)
        except BlockingIOError:
            return  # somebody is writing it
        finally:
            os.close(fd)

    @contexts.contextmanager
    def _lock(self, how: int) -> Iterator[None]:
        fd = os.open(os.path.join(self._root, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)


def _held_alone(path: str) -> int | None:
    """Its descriptor, locked; None where somebody else has it, or has just let it go."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


def sync_directory(path: str) -> None:
    """A rename is on disk only when its directory is (fsync(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_tree(path: str) -> None:
    """A build that was killed at a bad moment may have left a mount in it: that goes first."""
    import shutil

    from dockyard.base.linux import syscalls

    with os.scandir(path) as entries:
        inner = [entry.path for entry in entries]
    for folder in inner:
        if os.path.ismount(folder):
            syscalls.umount(folder, syscalls.MNT_DETACH)
    shutil.rmtree(path)
