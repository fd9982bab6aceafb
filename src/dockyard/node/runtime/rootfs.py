"""Turns a specification into a container's file tree, inside a mount namespace of its own.

Runs in the container's init, before it gives up any right. Every target is resolved in the root by
the kernel and mounted through its descriptor: nothing that the image holds, and nothing that
another container does meanwhile, can move a mount outside.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from dockyard.base.errors import Denied, Invalid
from dockyard.base.linux import syscalls
from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.oci.mountoptions import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)
from dockyard.base.oci.runtimespec import Device, Mount, Spec
from dockyard.interfaces.ociruntime import Overlay
from dockyard.node.runtime import rootpath

DEFAULT_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8),
                   ("urandom", 1, 9), ("tty", 5, 0))  # fmt: skip
LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
         ("stderr", "/proc/self/fd/2"))  # fmt: skip
LONGEST_DATA = 4095
"""mount(2) takes one page of data."""


def fd_path(descriptor: int) -> str:
    """A path that is this descriptor's file, whatever is renamed meanwhile."""
    return f"/proc/self/fd/{descriptor}"


def build(spec: Spec, overlay: Overlay | None, null: int) -> int:
    """Mount everything. Returns a descriptor of the root, not yet pivoted into.

    ``null`` is the host's /dev/null, for masking.
    """
    syscalls.mount(None, "/", None, MS_REC | MS_PRIVATE)
    root_path = os.path.realpath(spec.root)
    if overlay is not None:
        _mount_overlay(overlay, root_path)
    else:
        syscalls.mount(root_path, root_path, None, MS_BIND | MS_REC)
    root = os.open(root_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for mount in spec.mounts:
        try:
            _mount(root, mount)
        except OSError as error:
            raise type(error)(
                error.errno, f"mount {mount.source or mount.kind} on {mount.destination}: {error}"
            ) from error
    _make_devices(root, spec)
    _write_sysctls(root, spec.sysctl)
    for path in spec.readonly:
        _make_readonly(root, path)
    for path in spec.masked:
        _mask(root, path, null)
    if spec.readonly_root:
        _remount(root, MS_RDONLY)
    return root


def pivot(root: int) -> None:
    """Make the tree the process's root, and let go of the host's."""
    os.fchdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)  # the old root lies on top of the new one now
    os.chdir("/")


def _mount_overlay(overlay: Overlay, target: str) -> None:
    for folder in (*overlay.lower, overlay.upper, overlay.work):
        if any(character in folder for character in ",:\\"):
            raise Invalid(f"overlay: {folder}: has a comma, a colon or a backslash in its path")
    data = f"lowerdir={':'.join(overlay.lower)},upperdir={overlay.upper},workdir={overlay.work}"
    if len(data) > LONGEST_DATA:
        raise Invalid(f"overlay: {len(overlay.lower)} layers: their paths are longer than a page")
    syscalls.mount("overlay", target, "overlay", 0, data)


def _mount(root: int, mount: Mount) -> None:
    flags, propagation, data = mount.options
    if flags & MS_BIND or mount.kind == "bind":
        _bind(root, mount)
    elif mount.kind == "cgroup":
        _mount_cgroup(root, mount)
    else:
        plain = mount.kind in ("proc", "sysfs")
        opener = rootpath.open_plain_folder if plain else _open_folder
        target = opener(root, mount.destination)
        try:
            syscalls.mount(
                mount.source or mount.kind, fd_path(target), mount.kind, flags, data or None
            )
        finally:
            os.close(target)
    if propagation:
        target = open_in_root(root, mount.destination, os.O_PATH)
        try:
            syscalls.mount(None, fd_path(target), None, propagation)
        finally:
            os.close(target)


def _open_folder(root: int, path: str) -> int:
    return rootpath.open_target(root, path, folder=True)


def _bind(root: int, mount: Mount) -> None:
    source = os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
    try:
        folder = stat.S_ISDIR(os.fstat(source).st_mode)
        target = rootpath.open_target(root, mount.destination, folder=folder)
        try:
            recursive = mount.options.flags & MS_REC
            syscalls.mount(fd_path(source), fd_path(target), None, MS_BIND | recursive)
        finally:
            os.close(target)
    finally:
        os.close(source)
    wanted = mount.options.flags & ~(MS_BIND | MS_REC)
    if wanted:
        mounted = open_in_root(root, mount.destination, os.O_PATH)
        try:
            _remount(mounted, wanted)
        finally:
            os.close(mounted)


def _remount(mounted: int, flags: int) -> None:
    """Add flags to a mount, keeping those it has."""
    kept = os.fstatvfs(mounted).f_flag
    for bit, flag in (
        (os.ST_NOSUID, MS_NOSUID),
        (os.ST_NODEV, MS_NODEV),
        (os.ST_NOEXEC, MS_NOEXEC),
        (os.ST_RDONLY, MS_RDONLY),
    ):
        flags |= flag if kept & bit else 0
    syscalls.mount(None, fd_path(mounted), None, MS_REMOUNT | MS_BIND | flags)


def _mount_cgroup(root: int, mount: Mount) -> None:
    """Each v1 hierarchy of the host on a folder; in a cgroup namespace it shows our group only."""
    target = rootpath.open_plain_folder(root, mount.destination)
    hard = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        syscalls.mount("tmpfs", fd_path(target), "tmpfs", hard, "mode=755")
    finally:
        os.close(target)
    base = rootpath.open_plain_folder(root, mount.destination)
    try:
        for name, options in _hierarchies():
            os.mkdir(name, 0o755, dir_fd=base)
            folder = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=base)
            try:
                flags = hard | mount.options.flags
                syscalls.mount("cgroup", fd_path(folder), "cgroup", flags, options)
            finally:
                os.close(folder)
        if mount.options.flags & MS_RDONLY:
            _remount(base, MS_RDONLY)
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


def _make_devices(root: int, spec: Spec) -> None:
    dev = rootpath.open_target(root, "/dev", folder=True)
    try:
        ours = any(m.destination.rstrip("/") == "/dev" and m.kind == "tmpfs" for m in spec.mounts)
        if ours:
            for name, major, minor in DEFAULT_DEVICES:
                _make_device(dev, Device(name, "c", major, minor, 0o666, 0, 0))
            for name, target in LINKS:
                os.symlink(target, name, dir_fd=dev)
            if any(m.kind == "devpts" for m in spec.mounts):
                os.symlink("pts/ptmx", "ptmx", dir_fd=dev)
    finally:
        os.close(dev)
    for device in spec.devices:
        folder, _, name = device.path.rpartition("/")
        parent = rootpath.open_target(root, folder or "/", folder=True)
        try:
            _make_device(parent, device._replace(path=name))
        finally:
            os.close(parent)


def _make_device(parent: int, device: Device) -> None:
    kind = {"b": stat.S_IFBLK, "p": stat.S_IFIFO}.get(device.kind, stat.S_IFCHR)
    number = os.makedev(device.major, device.minor)
    with contextlib.suppress(FileExistsError):
        os.mknod(device.path, kind | device.mode, number, dir_fd=parent)
        os.chown(device.path, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)


def _write_sysctls(root: int, sysctls: dict[str, str]) -> None:
    if not sysctls:
        return
    proc = rootpath.open_plain_folder(root, "/proc")
    try:
        for name, value in sysctls.items():
            rootpath.write_proc(proc, f"sys/{name.replace('.', '/')}", value)
    finally:
        os.close(proc)


def _make_readonly(root: int, path: str) -> None:
    try:
        target = open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        return
    try:
        syscalls.mount(fd_path(target), fd_path(target), None, MS_BIND | MS_REC)
    finally:
        os.close(target)
    mounted = open_in_root(root, path, os.O_PATH)
    try:
        _remount(mounted, MS_RDONLY)
    finally:
        os.close(mounted)


def _mask(root: int, path: str, null: int) -> None:
    """Nothing can be read or written there: an empty folder, or /dev/null."""
    if not rootpath.is_null_device(null):
        raise Denied("mask: /dev/null of the host is not character device 1:3")
    try:
        target = open_in_root(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        raise
    try:
        if stat.S_ISDIR(os.fstat(target).st_mode):
            syscalls.mount("tmpfs", fd_path(target), "tmpfs", MS_RDONLY, "size=0k")
        else:
            syscalls.mount(fd_path(null), fd_path(target), None, MS_BIND)
    finally:
        os.close(target)
