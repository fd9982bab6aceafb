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
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_SLAVE,
    MS_STRICTATIME,
)
from dockyard.base.oci.runtimespec import Device, Mount, Spec
from dockyard.interfaces.ociruntime import Overlay
from dockyard.node.runtime import rootpath

DEFAULT_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8),
                   ("urandom", 1, 9), ("tty", 5, 0))  # fmt: skip
LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
         ("stderr", "/proc/self/fd/2"))  # fmt: skip
COVERABLE = (
    "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/slabinfo",
    "/proc/stat", "/proc/swaps", "/proc/uptime",
)  # fmt: skip
"""Files of /proc that lxcfs and the like replace, as with runc."""
LONGEST_DATA = 4095
"""mount(2) takes one page of data."""


def fd_path(descriptor: int) -> str:
    """A path that is this descriptor's file, whatever is renamed meanwhile."""
    return f"/proc/self/fd/{descriptor}"


def build(spec: Spec, overlay: Overlay | None, null: int) -> int:
    """Mount everything. Returns a descriptor of the root, not yet pivoted into.

    ``null`` is the host's /dev/null, for masking.
    """
    syscalls.mount(None, "/", None, MS_REC | MS_SLAVE)  # nothing that happens here is seen there
    root_path = os.path.realpath(spec.root)
    if overlay is not None:
        _mount_overlay(overlay, root_path)
    else:
        syscalls.mount(root_path, root_path, None, MS_BIND | MS_REC)
    root = os.open(root_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.set_mount(root, propagation=MS_PRIVATE, recursive=True)
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
        syscalls.set_mount(root, add=syscalls.MOUNT_ATTR_RDONLY)
    return root


def pivot(root: int) -> None:
    """Make the tree the process's root, and let go of the host's."""
    os.fchdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)  # the old root lies on top of the new one now
    os.chdir("/")


def _mount_overlay(overlay: Overlay, target: str) -> None:
    """Folders are named by descriptors: mount(2) takes one page of data, and no commas in names."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    opened: list[int] = []
    try:
        for folder in (overlay.upper, overlay.work, *overlay.lower):
            opened.append(os.open(folder, flags))  # noqa: PERF401 - those before are closed too
        upper, work, *lower = (fd_path(descriptor) for descriptor in opened)
        data = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
        if len(data) > LONGEST_DATA:
            raise Invalid(f"overlay: {len(lower)} layers: more than mount(2) takes")
        syscalls.mount("overlay", target, "overlay", 0, data)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _mount(root: int, mount: Mount) -> None:
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
        syscalls.mount(mount.source or mount.kind, fd_path(target), mount.kind, flags, data or None)
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
        tree = syscalls.clone_tree(target, recursive=True)
        try:
            syscalls.set_mount(tree, add=syscalls.MOUNT_ATTR_RDONLY)
            syscalls.put_tree(tree, target)
        finally:
            os.close(tree)
    finally:
        os.close(target)


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
