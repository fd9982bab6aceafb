"""Turns a step's mounts into what its container gets: binds of places that only the build sees.

Each lies in the step's workspace, in the build's own mount namespace, and is gone with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from dockyard.base.errors import NotFound, Unsupported
from dockyard.base.linux import syscalls
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.build import agentproxy, mountflags
from dockyard.node.build.files import File
from dockyard.node.build.instructions.workdir import absolute
from dockyard.node.build.mountflags import Mount
from dockyard.node.build.placing import Manner, Placer, place
from dockyard.node.build.stage import Bind
from dockyard.node.image.snapshot import mount_view
from dockyard.node.image.tree import Tree

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from dockyard.node.build.change import Change
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Origin, Stage

_MOST_COPIES = 64
_SECRETS = "/run/secrets"
_AGENT = "/run/buildkit/ssh_agent"


class Mounts:
    """Prepares mounts one by one; ``stack`` takes them away."""

    def __init__(
        self, stage: Stage, line: Line, change: Change, stack: contextlib.ExitStack
    ) -> None:
        self._stage = stage
        self._line = line
        self._change = change
        self._stack = stack
        self._count = 0
        self.binds: list[Bind] = []
        self.env: dict[str, str] = {}

    def add(self, mount: Mount) -> None:
        {
            mountflags.BIND: self._bind,
            mountflags.CACHE: self._cache,
            mountflags.TMPFS: self._tmpfs,
            mountflags.SECRET: self._secret,
            mountflags.SSH: self._ssh,
        }[mount.kind](mount)

    def add_script(self, target: str, text: str) -> None:
        """A here-document that is executed."""
        folder = self._memory()
        path = os.path.join(folder, "script")
        _write(path, text.encode(), 0o755, 0, 0)
        self._give(target, path, read_only=True)

    def _bind(self, mount: Mount) -> None:
        origin = origin_of(mount, self._stage, self._line)
        if origin.files.outside:
            inner = self._copied(origin, mount)
        else:
            inner = self._part(self._merged(origin), mount.source, origin.files.what)
        self._give(mount.target, inner, read_only=mount.read_only)

    def _copied(self, origin: Origin, mount: Mount) -> str:
        """Of a context: what its ignore file leaves, owned by root, as COPY would lay it."""
        folder = self._stub()
        os.chmod(folder, 0o755)  # noqa: S103 - any user of the step may read it
        source = self._lay(origin, mount, folder, (0, 0))
        return folder if source.is_directory else os.path.join(folder, source.name)

    def _cache(self, mount: Mount) -> None:
        folder = cache_folder(self._stage, mount, self._stack, self._fill)
        inner = folder
        if mount.source and not mount.origin:  # else it is a part of what ``from`` has
            inner = self._part(folder, mount.source, f"cache {mount.id}")
        self._give(mount.target, inner, read_only=mount.read_only)

    def _fill(self, folder: str, mount: Mount) -> None:
        """A new cache begins with what ``from`` has."""
        self._lay(origin_of(mount, self._stage, self._line), mount, folder, None)

    def _lay(
        self, origin: Origin, mount: Mount, folder: str, owner: tuple[int, int] | None
    ) -> File:
        source = origin.files.find(mount.source.strip("/"))
        if source is None:
            reason = f"{mount.source}: is not in {origin.files.what}"
            raise self._line.invalid(f"--mount=type={mount.kind}: {reason}")
        with Tree(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), "mount") as tree:
            placer = Placer(tree, self._line, Manner(owner, None, self._stage.tools.epoch))
            for item in place(origin.files, source):
                placer.lay(item, (), inside=True)
            placer.finish()
        return source

    def _tmpfs(self, mount: Mount) -> None:
        size = (f"size={mount.size}",) if mount.size else ()
        options = ("nosuid", "nodev", "mode=1777", *size)
        self.binds.append(Bind(self._inside(mount.target), "tmpfs", "tmpfs", options))

    def _secret(self, mount: Mount) -> None:
        found = self._stage.tools.options.secrets.get(mount.id)
        if found is None:
            if mount.required:
                raise NotFound(
                    f"secret {mount.id}: not found; give it with --secret id={mount.id},src=FILE"
                )
            return
        if mount.env:
            value = found.value
            if b"\0" in value:
                raise self._line.invalid(f"secret {mount.id}: a NUL: it can't be a variable")
            self.env[mount.env] = os.fsdecode(value)
            if not mount.target:
                return
        path = os.path.join(self._memory(), "secret")
        _write(path, found.value, mount.mode, mount.uid, mount.gid)
        self._give(mount.target or f"{_SECRETS}/{mount.id}", path, read_only=True)

    def _ssh(self, mount: Mount) -> None:
        agent = self._stage.tools.options.ssh.get(mount.id)
        if agent is None:
            if mount.required:
                raise NotFound(f"ssh {mount.id}: no agent; give it with --ssh {mount.id}")
            return
        target = mount.target or f"{_AGENT}.{self._count}"
        path = os.path.join(self._memory(), "agent")
        self._stack.enter_context(agentproxy.serve(path, agent))
        os.chown(path, mount.uid, mount.gid)
        os.chmod(path, mount.mode)
        self._give(target, path, read_only=False)
        self.env.setdefault("SSH_AUTH_SOCK", target)

    def _give(self, target: str, source: str, *, read_only: bool) -> None:
        options = ("rbind", "ro" if read_only else "rw")
        self.binds.append(Bind(self._inside(target), "bind", source, options))

    def _inside(self, target: str) -> str:
        return absolute(self._stage, target)

    def _stub(self, folder: bool = True) -> str:
        self._count += 1
        path = os.path.join(self._change.workspace, f"mount-{self._count}")
        if folder:
            os.mkdir(path, 0o700)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return path

    def _memory(self) -> str:
        """A folder that no disk sees."""
        path = self._stub()
        syscalls.mount("tmpfs", path, "tmpfs", 0, "mode=0700,size=64m")
        self._stack.callback(syscalls.umount, path, syscalls.MNT_DETACH)
        return path

    def _merged(self, origin: Origin) -> str:
        """The origin's tree; what is written to it is forgotten."""
        path = self._stub()
        upper, work = (self._change.folder(f"{name}-{self._count}") for name in ("upper", "work"))
        found = os.stat(origin.lowers[0])
        os.chown(upper, found.st_uid, found.st_gid)
        os.chmod(upper, stat.S_IMODE(found.st_mode))
        try:
            mount_view(origin.lowers, upper, work, path, self._change.driver)
        except OSError as error:
            raise Unsupported(f"RUN --mount: {origin.files.what}: {error}") from error
        self._stack.callback(syscalls.umount, path, syscalls.MNT_DETACH)
        return path

    def _part(self, top: str, path: str, what: str) -> str:
        """What lies at a path, found by descriptors: no link leads out, none is swapped later."""
        root = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                found = open_in_root(root, path.strip("/") or ".", os.O_PATH)
            except OSError as error:
                reason = f"{path}: is not in {what}: {error.strerror}"
                raise self._line.invalid(f"--mount: {reason}") from error
        finally:
            os.close(root)
        try:
            stub = self._stub(stat.S_ISDIR(os.fstat(found).st_mode))
            target = os.open(stub, os.O_PATH)
            try:
                tree = syscalls.clone_tree(found, recursive=False)
                try:
                    syscalls.put_tree(tree, target)
                finally:
                    os.close(tree)
            finally:
                os.close(target)
        finally:
            os.close(found)
        self._stack.callback(syscalls.umount, stub, syscalls.MNT_DETACH)
        return stub


def origin_of(mount: Mount, stage: Stage, line: Line) -> Origin:
    origins = stage.tools.origins
    return origins.named(mount.origin, stage, line) if mount.origin else origins.context()


def identities(mounts: tuple[Mount, ...], stage: Stage, line: Line) -> list[object]:
    """What the step's result depends on. A cache's content, a secret's value and an agent's keys
    are no part of it, as in docker."""
    found: list[object] = []
    for mount in mounts:
        if mount.kind != mountflags.BIND:
            found.append([*mount])
            continue
        origin = origin_of(mount, stage, line)
        found.append([*mount, origin.identity or _content(origin, mount, line)])
    return found


def _content(origin: Origin, mount: Mount, line: Line) -> str:
    source: File | None = origin.files.find(mount.source.strip("/"))
    if source is None:
        raise line.invalid(f"--mount: {mount.source}: is not in {origin.files.what}")
    hasher = hashlib.sha256()
    for item in place(origin.files, source):
        file = item.file
        what = [item.path, file.link, str(file.found.st_mode)]
        if stat.S_ISREG(file.found.st_mode):
            what.append(origin.files.digest(file))
        hasher.update("\0".join(what).encode("utf-8", "surrogateescape") + b"\n")
    return hasher.hexdigest()


def cache_folder(
    stage: Stage,
    mount: Mount,
    stack: contextlib.ExitStack,
    fill: Callable[[str, Mount], None],
) -> str:
    """The cache's directory, locked as its sharing asks. Its id is hashed: it names no path."""
    space = stage.tools.options.wishes.cache_space
    name = hashlib.sha256(f"{space}\0{mount.id}".encode("utf-8", "surrogateescape")).hexdigest()
    top = stage.tools.options.cache_folder
    os.makedirs(top, 0o700, exist_ok=True)
    private = mount.sharing == mountflags.PRIVATE
    for number in range(_MOST_COPIES if private else 1):
        path = os.path.join(top, f"{name}-{number}" if number else name)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        stack.callback(os.close, lock)
        how = fcntl.LOCK_SH if mount.sharing == mountflags.SHARED else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, how | (fcntl.LOCK_NB if private else 0))
        except BlockingIOError:
            continue
        if not os.path.isdir(path):
            _make_cache(path, mount, fill)
        return path
    raise Unsupported(f"cache {mount.id}: {_MOST_COPIES} private copies are in use")


def _make_cache(path: str, mount: Mount, fill: Callable[[str, Mount], None]) -> None:
    """By rename: two that make it at once get one."""
    fresh = f"{path}.{os.urandom(6).hex()}"
    os.mkdir(fresh, 0o700)
    if mount.origin:
        fill(fresh, mount)
    os.chown(fresh, mount.uid, mount.gid)
    os.chmod(fresh, mount.mode)
    try:
        os.rename(fresh, path)
    except OSError:
        if not os.path.isdir(path):
            raise


def _write(path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
