"""Turns a tar stream whose author nobody trusts into files below one folder.

The kernel resolves every path with ``root`` as its root (openat2(2)); the last component is named
relative to its parent's descriptor and never followed: neither a name with ``..``, nor an absolute
one, nor a link that the stream or somebody else has put there leads out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from dockyard.base.errors import Invalid
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.image import sparse, tarread
from dockyard.node.image.tarread import Entry, TarReader

FOLDER = os.O_RDONLY | os.O_DIRECTORY
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CAPABILITY = b"security.capability"
OURS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE)
"""What is not the stream's fault."""
Owner = tuple[int, int]


def unpack(
    reader: TarReader,
    root: int,
    at: bytes = b"",
    *,
    rename: tuple[bytes, bytes] | None = None,
    owner: Owner | None = None,
) -> int:
    """Lay all entries below ``at`` in ``root``; how many bytes of files there were.

    ``rename``: the first component that entries have (empty: they have none of their own), and the
    one that they get. ``owner``: who
    shall have the files; None: as the stream says. Raises :class:`Invalid` for an entry that can't
    be there; what was laid stays.
    """
    layer = _Unpacker(reader, root, at.strip(b"/"), rename, owner)
    for entry in reader:
        try:
            layer.add(entry)
        except OSError as error:
            if error.errno in OURS:
                raise
            text = os.strerror(error.errno or 0).lower()
            raise Invalid(f"{entry.name[:200]!r}: {text}; refused") from error
    layer.set_times()
    return layer.bytes


class _Unpacker:
    def __init__(
        self,
        reader: TarReader,
        root: int,
        at: bytes,
        rename: tuple[bytes, bytes] | None,
        owner: Owner | None,
    ) -> None:
        self._reader, self._root, self._at = reader, root, at
        self._rename, self._owner = rename, owner
        self._times: dict[bytes, int] = {}
        self.bytes = 0

    def add(self, entry: Entry) -> None:
        path = self._path(entry.path)
        parent_path, _, name = path.rpartition(b"/")
        if not path or (not entry.path and not self._rename):
            if entry.kind != tarread.DIRECTORY:
                raise Invalid(f"{entry.name!r}: the root must be a directory; refused")
            return  # the folder that all is laid into stays as it is
        parent = self._open(parent_path)
        try:
            if entry.kind == tarread.DIRECTORY:
                self._folder(parent, name, entry, path)
            else:
                self._leaf(parent, name, entry)
        finally:
            os.close(parent)

    def set_times(self) -> None:
        """Folders' times come last: each entry laid into one changes them."""
        for path, mtime in self._times.items():
            with contextlib.suppress(OSError):  # something later in the stream took its place
                folder = open_in_root(self._root, path, FOLDER)
                try:
                    os.utime(folder, ns=(mtime, mtime))
                finally:
                    os.close(folder)

    def _path(self, parts: tuple[bytes, ...]) -> bytes:
        """Below the root: where an entry goes."""
        if self._rename and not self._rename[0]:
            parts = (self._rename[1], *parts)
        elif self._rename and parts[:1] == (self._rename[0],):
            parts = (self._rename[1], *parts[1:])
        return b"/".join(part for part in (self._at, *parts) if part)

    def _open(self, path: bytes) -> int:
        """A folder, made with those above it if it is missing."""
        try:
            return open_in_root(self._root, path or b".", FOLDER)
        except FileNotFoundError:
            above, _, name = path.rpartition(b"/")
            parent = self._open(above)
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=parent)
                return open_in_root(self._root, path, FOLDER)
            finally:
                os.close(parent)

    def _folder(self, parent: int, name: bytes, entry: Entry, path: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise Invalid(f"cannot overwrite non-directory {os.fsdecode(path)!r} with "
                              f"directory {entry.name!r}") from None  # fmt: skip
        folder = os.open(name, FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._describe(folder, entry)
        finally:
            os.close(folder)
        self._times[path] = entry.mtime

    def _leaf(self, parent: int, name: bytes, entry: Entry) -> None:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise Invalid(f"cannot overwrite directory {os.fsdecode(name)!r} with "
                              f"non-directory {entry.name!r}")  # fmt: skip
            if entry.kind != tarread.HARDLINK:  # its source may be the same file
                os.unlink(name, dir_fd=parent)
        if entry.kind == tarread.FILE:
            self._file(parent, name, entry)
        elif entry.kind == tarread.HARDLINK:
            self._hardlink(parent, name, entry)
        else:
            self._special(parent, name, entry)

    def _file(self, parent: int, name: bytes, entry: Entry) -> None:
        file = os.open(name, CREATE, 0o600, dir_fd=parent)
        try:
            self.bytes += entry.size
            if entry.sparse is not None:
                sparse.write(file, self._reader, entry)
            else:
                for piece in self._reader.data():
                    while piece:
                        piece = piece[os.write(file, piece) :]
            self._describe(file, entry)
            os.utime(file, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(file)

    def _hardlink(self, parent: int, name: bytes, entry: Entry) -> None:
        source = self._path(self._reader.path(entry.link))
        above, _, last = source.rpartition(b"/")
        if not last:
            raise Invalid(f"{entry.name!r}: a hard link to the root; refused")
        folder = open_in_root(self._root, above or b".", FOLDER)
        try:
            found = os.stat(last, dir_fd=folder, follow_symlinks=False)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(found, os.stat(name, dir_fd=parent, follow_symlinks=False)):
                    return
                os.unlink(name, dir_fd=parent)
            os.link(last, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(folder)

    def _special(self, parent: int, name: bytes, entry: Entry) -> None:
        if entry.kind == tarread.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
        elif entry.kind == tarread.FIFO:
            os.mknod(name, stat.S_IFIFO | 0o600, dir_fd=parent)
        else:
            if (entry.major, entry.minor) == (0, 0):
                raise Invalid(f"{entry.name!r}: a device 0:0, which overlayfs takes for a whiteout")
            kind = stat.S_IFCHR if entry.kind == tarread.CHAR else stat.S_IFBLK
            device = os.makedev(entry.major, entry.minor)
            os.mknod(name, kind | 0o600, device, dir_fd=parent)
        uid, gid = self._owner or (entry.uid, entry.gid)
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind != tarread.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)  # ours a moment ago, and no link
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _describe(self, file: int, entry: Entry) -> None:
        """Owner, then mode (a change of owner drops setuid), then attributes."""
        uid, gid = self._owner or (entry.uid, entry.gid)
        os.fchown(file, uid, gid)
        os.fchmod(file, entry.mode)
        for key, value in entry.xattrs:
            if key.startswith(b"user.") or (key == CAPABILITY and entry.kind == tarread.FILE):
                with contextlib.suppress(OSError):  # a file system that has none
                    os.setxattr(file, key, value)
