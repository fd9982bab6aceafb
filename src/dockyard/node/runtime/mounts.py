"""Turns the mounts of a specification into mounts below a root's descriptor, one after the other.

Every target is resolved in the root by the kernel and mounted through its descriptor: nothing that
the image holds, and nothing that another container does meanwhile, can move a mount outside.
"""

from __future__ import annotations

import os
import stat

from dockyard.base.errors import Denied, Unsupported
from dockyard.base.linux import syscalls
from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.oci.mountoptions import (
    MS_RDONLY,
    MS_REMOUNT,
)
from dockyard.base.oci.runtimespec import Mount
from dockyard.node.runtime import bindtrees, cgroupmounts, rootpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Trees = Mapping[int, int]
    """Index of a mount -> its tree, where somebody has made it: with more rights, or ahead."""

COVERABLE = (
    "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/slabinfo",
    "/proc/stat", "/proc/swaps", "/proc/uptime",
)  # fmt: skip
"""Files of /proc that lxcfs and the like replace, as with runc."""
GROUPLESS = ("proc", "sysfs", "tmpfs", "devpts", "mqueue")
"""Mounts that are alike whatever group a process is in."""


def put_all(
    root: int,
    mounts: tuple[Mount, ...],
    trees: Trees,
    grouping: Callable[[], object],
    label: str = "",
    within: Collection[int] = (),
) -> list[int]:
    """Mount them in the root that the descriptor stands for. Errors name the mount. Before what
    may show control groups, or takes memory for a copy, ``grouping`` is called. ``within``: those
    that a tree of another brings along.

    Returns descriptors of mounts that are to be made read-only when everything is in place.
    """
    later: list[int] = []
    for index, mount in enumerate(mounts):
        if index in within:
            continue
        if mount.kind not in GROUPLESS or mount.options.copy_up:
            grouping()
        try:
            _put(root, mount, trees.get(index, -1), label, later)
        except OSError as error:
            what = f"mount {mount.source or mount.kind} on {mount.destination}"
            raise type(error)(error.errno, f"{what}: {error}") from error
    return later


def _put(root: int, mount: Mount, tree: int, label: str, later: list[int]) -> None:
    flags = mount.options.flags
    if flags & MS_REMOUNT:
        _remount(root, mount)
        return
    if bindtrees.is_bind(mount):
        _bind(root, mount, tree)
        return
    if mount.kind in ("cgroup", "cgroup2"):
        cgroupmounts.put(root, mount)
        return
    if mount.options.copy_up and mount.kind != "tmpfs":
        raise Denied(f"mount: {mount.destination}: tmpcopyup: only a tmpfs can take a copy")
    plain = mount.kind in ("proc", "sysfs")
    opener: Callable[[int, str], int] = rootpath.open_plain_folder if plain else _open_folder
    there = mount.kind == "tmpfs" and _is_there(root, mount.destination)
    target = opener(root, mount.destination)
    try:
        _refuse_over_proc(target, mount)
        if tree >= 0:
            syscalls.put_tree(tree, target)
            return
        data = _data(mount, label)
        if there and "mode=" not in data:  # it looks like what it lies on, as runc has it
            mode = f"mode={stat.S_IMODE(os.fstat(target).st_mode):o}"
            data = f"{data},{mode}" if data else mode
        late = mount.kind == "tmpfs" and bool(flags & MS_RDONLY)
        kept = flags & ~MS_RDONLY if late else flags
        syscalls.mount(
            mount.source or mount.kind, rootpath.fd_path(target), mount.kind, kept, data or None
        )
        if late or mount.options.copy_up:
            _after_tmpfs(root, mount, target, later if late else None)
    finally:
        os.close(target)
    _change(root, mount)


def _after_tmpfs(root: int, mount: Mount, below: int, later: list[int] | None) -> None:
    """What lies below it is copied up; read-only it gets when others are mounted on it."""
    mounted = open_in_root(root, mount.destination, os.O_PATH)
    try:
        if mount.options.copy_up:
            from dockyard.node.runtime import copyup

            copyup.copy(below, mounted)
        if later is not None:
            later.append(os.dup(mounted))
    finally:
        os.close(mounted)


def _data(mount: Mount, label: str) -> str:
    """The file system's options, with an SELinux context for those that take one."""
    if not label or mount.kind in ("proc", "sysfs"):
        return mount.options.data
    context = f'context="{label}"'
    return f"{mount.options.data},{context}" if mount.options.data else context


def _change(root: int, mount: Mount) -> None:
    """Propagation and recursive attributes of a mount that is there."""
    options = mount.options
    if options.propagation or options.set_below or options.clear_below:
        mounted = open_in_root(root, mount.destination, os.O_PATH)
        try:
            bindtrees.change(mounted, options)
        finally:
            os.close(mounted)


def _remount(root: int, mount: Mount) -> None:
    """Other flags for a mount that is there: mount(2), MS_REMOUNT."""
    target = open_in_root(root, mount.destination, os.O_PATH)
    try:
        data = mount.options.data or None
        flags = mount.options.flags
        syscalls.mount(mount.source or None, rootpath.fd_path(target), mount.kind, flags, data)
    finally:
        os.close(target)
    _change(root, mount)


def _is_there(root: int, path: str) -> bool:
    try:
        os.close(open_in_root(root, path, os.O_PATH))
    except OSError:
        return False
    return True


def _open_folder(root: int, path: str) -> int:
    return rootpath.open_target(root, path, folder=True)


def _refuse_over_proc(target: int, mount: Mount) -> None:
    """What is written to /proc must get there (CVE-2019-16884); a few files are safe to cover."""
    if mount.destination.rstrip("/") == "/proc":
        bound = bindtrees.is_bind(mount) and mount.source.rstrip("/") == "/proc"
        if mount.kind != "proc" and not bound:
            raise Denied("mount: /proc: only procfs may be mounted there")
        return
    if rootpath.magic(target) != rootpath.PROC_SUPER_MAGIC:
        return
    if mount.destination not in COVERABLE:
        raise Denied(f"mount: {mount.destination}: lies inside /proc")


def _bind(root: int, mount: Mount, tree: int) -> None:
    """The copy gets its attributes before it is put where the container can see it."""
    own = tree < 0
    if own:
        if mount.options.idmap:
            raise Unsupported(f"mount: {mount.destination}: idmap: needs rights that are gone")
        tree = bindtrees.clone(mount)
    try:
        folder = stat.S_ISDIR(os.fstat(tree).st_mode)
        target = rootpath.open_target(root, mount.destination, folder=folder)
        try:
            _refuse_over_proc(target, mount)
            if mount.destination.rstrip("/") == "/proc" and (
                rootpath.magic(tree) != rootpath.PROC_SUPER_MAGIC
            ):
                raise Denied("mount: /proc: only procfs may be mounted there")
            syscalls.put_tree(tree, target)
        finally:
            os.close(target)
    finally:
        if own:
            os.close(tree)
