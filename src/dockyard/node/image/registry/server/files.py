"""Turns the driver's operations into files below one folder: write, fsync, rename, fsync."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator

from dockyard.base.errors import Conflict
from dockyard.node.image.registry.server.driver import Entry

TEMPORARY = "tmp"


class Files:
    """A driver on a folder, which belongs to one process: a lock says so."""

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        os.makedirs(self._root, mode=0o700, exist_ok=True)
        self._lock = os.open(os.path.join(self._root, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise Conflict(
                f"registry: {root}: another server uses this folder; stop it, or name another"
            ) from None
        os.makedirs(self._path(TEMPORARY), mode=0o700, exist_ok=True)
        for left in os.listdir(self._path(TEMPORARY)):  # of a server that was killed
            os.unlink(self._path(f"{TEMPORARY}/{left}"))

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._lock)

    def read(self, path: str) -> bytes:
        with open(self._path(path), "rb") as file:
            return file.read()

    def open(self, path: str) -> int:
        return os.open(self._path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def size(self, path: str) -> int | None:
        try:
            return os.stat(self._path(path)).st_size
        except FileNotFoundError:
            return None

    def modified(self, path: str) -> float:
        return os.stat(self._path(path)).st_mtime

    def touch(self, path: str, when: float) -> None:
        os.utime(self._path(path), (when, when))

    def list(self, folder: str) -> Iterator[Entry]:
        try:
            with os.scandir(self._path(folder)) as found:
                for item in found:
                    yield Entry(item.name, item.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return

    def write(self, path: str, data: bytes) -> None:
        temporary = self._path(f"{TEMPORARY}/{uuid.uuid4().hex}")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._rename(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def mark(self, path: str) -> None:
        folder = self._folder_of(path)
        os.close(os.open(self._path(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        _sync(folder)

    def create(self, path: str) -> None:
        self._folder_of(path)
        os.close(
            os.open(self._path(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        )

    def append(self, path: str, data: bytes, at: int) -> None:
        descriptor = os.open(self._path(path), os.O_WRONLY | os.O_CLOEXEC)
        try:
            left = memoryview(data)
            while left:
                written = os.pwrite(descriptor, left, at)
                left, at = left[written:], at + written
        finally:
            os.close(descriptor)

    def truncate(self, path: str, size: int) -> None:
        os.truncate(self._path(path), size)

    def sync(self, path: str) -> None:
        _sync(self._path(path))

    def publish(self, path: str, target: str) -> None:
        _sync(self._path(path))
        self._rename(self._path(path), target)

    def remove(self, path: str) -> bool:
        try:
            os.unlink(self._path(path))
        except FileNotFoundError:
            return False
        _sync(os.path.dirname(self._path(path)))
        return True

    def prune(self, folder: str) -> None:
        while folder:
            try:
                os.rmdir(self._path(folder))
            except OSError:  # it is not empty, or gone
                return
            folder = folder.rpartition("/")[0]

    def _rename(self, source: str, path: str) -> None:
        folder = self._folder_of(path)
        os.rename(source, self._path(path))
        _sync(folder)

    def _folder_of(self, path: str) -> str:
        """The folder of a file, made where it is missing; each new one is synced into the next."""
        folder = os.path.dirname(self._path(path))
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for new in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(new, 0o700)
            _sync(os.path.dirname(new))
        return os.path.dirname(self._path(path))

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"


def _sync(path: str) -> None:
    """Raises where the disk refuses: then nothing of it is acknowledged (G04)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
