"""``COPY``: turns files of the build context into a layer."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.oci.users import find_user
from dockyard.node.build.change import Change
from dockyard.node.build.instructions.workdir import absolute
from dockyard.node.build.words import json_list, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.build.context import Context, File
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage
    from dockyard.node.image.image import Layer
    from dockyard.node.image.overlayform import Path
    from dockyard.node.image.tree import Tree

_CHUNK = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Placed(NamedTuple):
    """One file and where it goes, below the destination (empty: the destination itself)."""

    path: str
    file: File


class Copy(NamedTuple):
    line: Line
    sources: tuple[str, ...]
    target: str
    owner: str | None
    mode: int | None

    def apply(self, stage: Stage) -> None:
        context = stage.tools.context
        words = [stage.expand(source, self.line) for source in self.sources]
        target = stage.expand(self.target, self.line)
        owner = stage.expand(self.owner, self.line) if self.owner is not None else None
        found = [file for word in words for file in context.sources(self.line, word)]
        into = target.endswith(("/", "/.")) or target in (".", "") or len(found) > 1
        if len(found) > 1 and not target.endswith("/") and target not in (".", ".."):
            raise self.line.invalid(f"{target}: with several sources it must end with /")
        placed = [item for file in found for item in place(context, file)]
        key = stage.key(
            "COPY",
            target=absolute(stage, target) + ("/" if into else ""),
            owner=owner,
            mode=self.mode,
            files=[_fingerprint(context, item) for item in placed],
        )
        path = absolute(stage, target)
        layer = stage.recall(key)
        if layer is None:
            layer = self._build(stage, placed, path, into=into, owner=owner)
            if layer is not None:
                stage.tools.store.remember(key, layer)
        stage.record(self.line.text, layer)

    def _build(
        self, stage: Stage, placed: list[Placed], path: str, *, into: bool, owner: str | None
    ) -> Layer | None:
        parts = tuple(os.fsencode(part) for part in path.split("/") if part)
        with Change(stage) as change:
            with change.tree(f"{self.line.source.name}:{self.line.number}: COPY") as tree:
                ids = self._ids(tree, owner)
                copier = _Copier(stage.tools.context, tree, self.line, ids, self.mode)
                folders = any(item.file.is_directory for item in placed)
                inside = into or folders or not parts or _is_directory(tree, parts)
                for item in placed:
                    copier.copy(item, parts, inside=inside)
                copier.finish()
            return change.commit()

    def _ids(self, tree: Tree, owner: str | None) -> tuple[int, int]:
        if owner is None:
            return 0, 0
        try:
            found = find_user(tree.root, owner)
        except Invalid as error:
            raise self.line.invalid(f"--chown: {error}") from error
        # a number without a group means the same number for both (reference, "COPY --chown")
        same = owner.isdecimal()
        return found.uid, found.uid if same else found.gid


class _Copier:
    def __init__(
        self, context: Context, tree: Tree, line: Line, ids: tuple[int, int], mode: int | None
    ) -> None:
        self._context = context
        self._tree = tree
        self._line = line
        self._ids = ids
        self._mode = mode
        self._times: dict[Path, int] = {}

    def copy(self, item: Placed, target: Path, *, inside: bool) -> None:
        """Lay one file or directory. ``inside``: the destination is a directory."""
        below = tuple(os.fsencode(part) for part in item.path.split("/") if part)
        if item.file.is_directory:
            self._directory(item.file, (*target, *below))
        elif inside or len(below) > 1:
            self._leaf(item.file, (*target, *below))
        else:
            self._leaf(item.file, target)

    def finish(self) -> None:
        """Owners of directories made on the way, and times: each file laid changes them."""
        for path in self._tree.implied:
            if path not in self._times:
                os.fchown(self._tree.directory(path), *self._ids)
        self._tree.restore_times(self._times)

    def _directory(self, file: File, path: Path) -> None:
        known = _is_directory(self._tree, path)
        fd = self._tree.directory(path)
        if not known and file.path:
            os.fchown(fd, *self._ids)
            os.fchmod(fd, stat.S_IMODE(file.found.st_mode))
            self._times[path] = file.found.st_mtime_ns

    def _leaf(self, file: File, path: Path) -> None:
        parent, name = self._tree.touch(path[:-1]), path[-1]
        if _exists(parent, name):
            if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                raise self._line.invalid(f"{file.path}: there is a directory of this name already")
            os.unlink(name, dir_fd=parent)
        mtime = file.found.st_mtime_ns
        if file.link:
            os.symlink(file.link, name, dir_fd=parent)
            os.chown(name, *self._ids, dir_fd=parent, follow_symlinks=False)
            os.utime(name, ns=(mtime, mtime), dir_fd=parent, follow_symlinks=False)
            return
        fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            if _transfer(self._context, file, fd) != self._context.digest(file):
                raise self._line.invalid(f"{file.path}: changed while it was copied; build again")
            os.fchown(fd, *self._ids)
            mode = self._mode if self._mode is not None else stat.S_IMODE(file.found.st_mode)
            os.fchmod(fd, mode)
            os.utime(fd, ns=(mtime, mtime))
        finally:
            os.close(fd)


def place(context: Context, source: File) -> Iterator[Placed]:
    """A file keeps its name; a directory's contents go, not the directory itself."""
    if not source.is_directory:
        yield Placed(source.path.rpartition("/")[2], source)
        return
    yield Placed("", source)
    start = len(source.path) + 1 if source.path else 0
    for file in context.below(source):
        yield Placed(file.path[start:], file)


def _fingerprint(context: Context, item: Placed) -> list[object]:
    """All of a file that the layer's content depends on; its times do not count, as in docker."""
    file = item.file
    mode = stat.S_IMODE(file.found.st_mode)
    if file.is_directory:
        return [item.path, "directory", mode if file.path else 0]
    if file.link:
        return [item.path, "link", file.link]
    if not stat.S_ISREG(file.found.st_mode):
        raise Invalid(f"COPY: {file.path}: is a device, FIFO or socket; leave it out")
    return [item.path, "file", mode, context.digest(file)]


def _transfer(context: Context, file: File, target: int) -> str:
    """Copy the bytes; their SHA-256."""
    hasher = hashlib.sha256()
    source = context.open(file)
    try:
        while chunk := os.read(source, _CHUNK):
            hasher.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(target, rest) :]
    finally:
        os.close(source)
    return hasher.hexdigest()


def _is_directory(tree: Tree, path: Path) -> bool:
    try:
        os.close(open_in_root(tree.root, b"/".join(path) or b".", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    return True


def _exists(parent: int, name: bytes) -> bool:
    try:
        os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    return True


def parse(line: Line) -> Copy:
    options = line.options("chown", "chmod")
    words = json_list(line)
    found = list(words) if words is not None else split(line)
    if len(found) < 2:
        raise line.invalid("a source and a destination are expected")
    mode = options.get("chmod")
    if mode is not None and not (mode.isdecimal() and set(mode) <= set("01234567")):
        raise line.unsupported(f"--chmod={mode}; octal digits are")
    return Copy(
        line,
        tuple(found[:-1]),
        found[-1],
        options.get("chown"),
        int(mode, 8) & 0o7777 if mode else None,
    )
