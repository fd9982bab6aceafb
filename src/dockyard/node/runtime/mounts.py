"""Turns the mounts of a specification into mounts below a root's descriptor, one after the other.

Every target is resolved in the root by the kernel and mounted through its descriptor: nothing that
the image holds, and nothing that another container does meanwhile, can move a mount outside.
"""

from __future__ import annotations

import os
import stat

from dockyard.base.errors import Denied
from dockyard.base.linux import syscalls
from dockyard.base.linux.door import through
from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.oci.mountoptions import (
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_STRICTATIME,
)
from dockyard.base.oci.runtimespec import Mount
from dockyard.node.runtime import rootpath

COVERABLE = (
    "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/slabinfo",
    "/proc/stat", "/proc/swaps", "/proc/uptime",
)  # fmt: skip
"""Files of /proc that lxcfs and the like replace, as with runc."""


def put(root: int, mount: Mount) -> None:
    """Mount it in the root that the descriptor stands for. Errors name it."""
    try:
        _put(root, mount)
    except OSError as error:
        raise type(error)(
            error.errno, f"mount {mount.source or mount.kind} on {mount.destination}: {error}"
        ) from error


def _put(root: int, mount: Mount) -> None:
    flags, propagation, data = mount.options
    if flags & MS_BIND or mount.kind == "bind":
        _bind(root, mount)
        return
    if mount.kind == "cgroup":
        _mount_cgroup(root, mount)
        return
    plain = mount.kind in ("proc", "sysfs")
    opener = rootpath.open_plain_folder if plain else _open_folder
    target = opener(root, mount.destination)
    try:
        _refuse_over_proc(target, mount)
        syscalls.mount(
            mount.source or mount.kind, rootpath.fd_path(target), mount.kind, flags, data or None
        )
    finally:
        os.close(target)
    if propagation:
        target = open_in_root(root, mount.destination, os.O_PATH)
        try:
            syscalls.set_mount(target, propagation=propagation & ~MS_REC)
        finally:
            os.close(target)


def _open_folder(root: int, path: str) -> int:
    return rootpath.open_target(root, path, folder=True)


def _refuse_over_proc(target: int, mount: Mount) -> None:
    """What is written to /proc must get there (CVE-2019-16884); a few files are safe to cover."""
    if mount.destination.rstrip("/") == "/proc":
        if mount.kind != "proc":
            raise Denied("mount: /proc: only procfs may be mounted there")
        return
    if rootpath.magic(target) != rootpath.PROC_SUPER_MAGIC:
        return
    if mount.destination not in COVERABLE:
        raise Denied(f"mount: {mount.destination}: lies inside /proc")


def _bind(root: int, mount: Mount) -> None:
    """The copy gets its attributes before it is put where the container can see it."""
    flags, propagation, _ = mount.options
    tree = syscalls.clone_tree(mount.source, recursive=bool(flags & MS_REC))
    try:
        folder = stat.S_ISDIR(os.fstat(tree).st_mode)
        add, clear = _attributes(flags)
        syscalls.set_mount(tree, add=add, clear=clear)
        syscalls.set_mount(
            tree, propagation=(propagation or MS_PRIVATE) & ~MS_REC, recursive=bool(flags & MS_REC)
        )
        target = rootpath.open_target(root, mount.destination, folder=folder)
        try:
            _refuse_over_proc(target, mount)
            syscalls.put_tree(tree, target)
        finally:
            os.close(target)
    finally:
        os.close(tree)


def _attributes(flags: int) -> tuple[int, int]:
    """(attributes to add, attributes to clear) for flags of mount(2)."""
    add = clear = 0
    for flag, attribute in (
        (MS_RDONLY, syscalls.MOUNT_ATTR_RDONLY),
        (MS_NOSUID, syscalls.MOUNT_ATTR_NOSUID),
        (MS_NODEV, syscalls.MOUNT_ATTR_NODEV),
        (MS_NOEXEC, syscalls.MOUNT_ATTR_NOEXEC),
        (MS_NODIRATIME, syscalls.MOUNT_ATTR_NODIRATIME),
    ):
        add |= attribute if flags & flag else 0
    if flags & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME):  # relatime is zero
        clear = syscalls.MOUNT_ATTR_TIMES
        add |= syscalls.MOUNT_ATTR_NOATIME if flags & MS_NOATIME else 0
        add |= syscalls.MOUNT_ATTR_STRICTATIME if flags & MS_STRICTATIME else 0
    return add, clear


def _mount_cgroup(root: int, mount: Mount) -> None:
    """Each v1 hierarchy of the host on a folder; in a cgroup namespace it shows our group only."""
    target = rootpath.open_plain_folder(root, mount.destination)
    hard = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        syscalls.mount("tmpfs", rootpath.fd_path(target), "tmpfs", hard, "mode=755")
    finally:
        os.close(target)
    base = rootpath.open_plain_folder(root, mount.destination)
    try:
        for name, options in _hierarchies():
            through("mkdirat", os.mkdir, name, 0o755, dir_fd=base)
            folder = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=base)
            try:
                flags = hard | mount.options.flags
                syscalls.mount("cgroup", rootpath.fd_path(folder), "cgroup", flags, options)
            finally:
                os.close(folder)
        if mount.options.flags & MS_RDONLY:
            syscalls.set_mount(base, add=syscalls.MOUNT_ATTR_RDONLY)
    finally:
        os.close(base)


def _hierarchies() -> list[tuple[str, str]]:
    """(folder, mount data) of each v1 hierarchy: /proc/self/cgroup, cgroups(7)."""
    found = []
    with open("/proc/self/cgroup") as file:
        for line in file:
            controllers = line.split(":")[1]
            if controllers.startswith("name="):
                found.append((controllers[5:], f"none,{controllers}"))
            elif controllers:
                found.append((controllers, controllers))
    return found
